"""The shell on a real terminal: completion, history, Ctrl-C, and a state shared with other processes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

pytestmark = [pytest.mark.live, pytest.mark.services]

CMS = [sys.executable, "-m", "cloudms"]
CONFIG = """\
cloudmesh:
  cloud:
    local: {cm: {active: false}}
    aws: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 0.01}
    openstack: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 0.01}
    slow: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 3600}
"""
BEGINS, ENDS = "\x1b[?2004l", "\x1b[?2004h"
"""What a terminal is told when a line has been typed, and when the next one may be."""


class Terminal:
    """A person at a terminal in which the shell runs."""

    def __init__(self, env: dict[str, str], *words: str) -> None:
        self.child = pexpect.spawn(
            CMS[0], [*CMS[1:], *words], env=env, encoding="utf-8", timeout=60, dimensions=(40, 120),
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
        )  # fmt: skip

    def prompt(self, text: str) -> str:
        """Wait for a prompt and return what was shown before it."""
        self.child.expect_exact(text)
        return str(self.child.before)

    def ready(self) -> str:
        """Wait until a line may be typed and return what was shown before."""
        shown = self.prompt(ENDS)
        self.prompt(">")
        return shown.replace("\r\n", "\n")

    def __call__(self, line: str) -> str:
        """Type a line and return what it printed."""
        self.child.send(line + "\r")
        self.prompt(BEGINS)
        return self.ready()

    def tab(self, typed: str, rest: str) -> None:
        """Type the beginning of a word and Tab, and wait until its rest is there."""
        self.child.send(typed)
        self.child.expect(".*".join(map(re.escape, typed[-1:])))
        self.child.send("\t")
        self.prompt(rest)

    def leave(self) -> int:
        """Press Ctrl-D and return the exit code."""
        self.child.send("\x04")
        return self.ended()

    def ended(self) -> int:
        """Wait for the end of the shell and return its exit code."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.signalstatus is None
        return int(self.child.exitstatus)


@pytest.fixture
def env(own_home: Path) -> dict[str, str]:
    """Return the environment of a person with pretend clouds."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    (folder / "cloudmesh.yaml").chmod(0o600)
    more = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1", "SHELL": "/bin/sh", "LOGNAME": "ada"}
    return {**os.environ, **more}


@pytest.fixture
def begin(env: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    """Return what starts a shell; none is left behind."""
    begun: list[Terminal] = []

    def start(*words: str, **variables: str) -> Terminal:
        begun.append(Terminal({**env, **variables}, *words))
        return begun[-1]

    yield start
    for terminal in begun:
        terminal.child.close(force=True)


Begin = Callable[..., Terminal]


def cms(env: dict[str, str], *words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of its own process, which ends with `code`."""
    done = subprocess.run(
        [*CMS, *words], env=env, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_the_figure_as_printed(begin: Begin, env: dict[str, str]) -> None:
    terminal = begin()
    terminal.ready()
    for line in ("set default cloud=aws", "vm boot", "set default cloud=openstack", "vm boot"):
        assert "error" not in terminal(line)
    assert terminal.leave() == 0
    rows = json.loads(cms(env, "vm", "list", "-o", "json").stdout)
    assert sorted((row["cloud"], row["state"]) for row in rows) == [("aws", "running"), ("openstack", "running")]


def test_tab_completes_words_and_names(begin: Begin, env: dict[str, str]) -> None:
    cms(env, "vm", "boot", "micro", "--name", "zebra7", "--cloud", "aws")
    cms(env, "image", "list", "--cloud", "aws")
    terminal = begin()
    terminal.ready()
    terminal.tab("opera", "tion")
    terminal.tab("li", "st")
    terminal.tab("--no-h", "eader")
    assert terminal("").count("error") == 0
    terminal.tab("vm info ze", "bra7")
    assert re.search(r"^name +zebra7$", terminal(""), re.MULTILINE)
    terminal.tab("vm list --cloud opens", "tack")
    terminal.tab("-o cs", "v")
    assert terminal("").startswith("name,cloud")
    terminal.tab("vm boot mi", "cro")
    assert "would" in terminal("--dry-run")
    terminal.tab("set default cl", "oud=")
    terminal.tab("opens", "tack")
    assert "cms set" in terminal("")
    assert terminal.leave() == 0


def test_the_history_lasts_and_holds_no_secret(begin: Begin, env: dict[str, str], own_home: Path) -> None:
    terminal = begin()
    terminal.ready()
    terminal("config set cloud.aws.credentials.EC2_SECRET_KEY=hush")
    assert terminal("echo first-session") == "first-session\n"
    assert terminal.leave() == 0
    file = own_home / ".cloudmesh" / "history"
    assert file.read_text() == "echo first-session\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = begin()
    again.ready()
    again.child.send("\x1b[A")
    again.prompt("first-session")
    assert again("") == "first-session\n"
    again.child.send("echo fir")
    again.prompt("st-session")  # suggested, in grey
    again.child.send("\x1b[C")
    assert again("-again") == "first-session-again\n"
    assert again.leave() == 0
    assert file.read_text().splitlines()[-1] == "echo first-session-again"


def test_ctrl_c_cancels_the_command_and_not_the_shell(begin: Begin, env: dict[str, str]) -> None:
    terminal = begin()
    terminal.ready()
    terminal.child.send("vm boot --cloud slow --name late\r")
    terminal.prompt("pending")
    terminal.child.send("\x03")
    shown = terminal.ready()
    assert "error: stopped; 0 of 1 steps were done" in shown
    assert "error" not in terminal("vm boot --cloud aws --name soon")
    assert "soon" in terminal("vm list --cached -o name")
    assert terminal("echo $?") == "0\n"
    terminal.child.send("echo never")
    terminal.prompt("never")
    terminal.child.send("\x03")
    terminal.ready()
    assert terminal("") == ""
    terminal("!exit 3")
    assert terminal.leave() == 3
    rows = json.loads(cms(env, "operation", "list", "-o", "json").stdout)
    assert sorted(row["state"] for row in rows) == ["cancelled", "done"]


def test_a_setting_of_another_process_is_seen_at_the_next_prompt(begin: Begin, env: dict[str, str]) -> None:
    terminal = begin()
    terminal.prompt("cms local>")
    cms(env, "set", "cloud=aws")
    terminal.child.send("\r")
    terminal.prompt("cms aws>")
    terminal.child.send("set cloud=openstack\r")
    terminal.prompt("cms openstack>")
    assert json.loads(cms(env, "default", "cloud", "-o", "json").stdout)[0]["value"] == "openstack"
    cms(env, "vm", "boot", "--name", "elsewhere")
    terminal.child.send("vm list --cached -o name\r")
    terminal.prompt("elsewhere")
    terminal.prompt("cms openstack>")
    assert terminal.leave() == 0


def test_a_command_may_have_several_lines(begin: Begin) -> None:
    terminal = begin()
    terminal.ready()
    terminal.child.send("echo 'one\r")
    terminal.child.send("two'\r")
    terminal.prompt(BEGINS)
    assert terminal.ready() == "one\ntwo\n"
    assert terminal.leave() == 0


def test_questions_are_asked_and_programs_have_the_terminal(begin: Begin, env: dict[str, str]) -> None:
    cms(env, "vm", "boot", "--cloud", "aws", "--name", "gone")
    terminal = begin()
    terminal.ready()
    terminal.child.send("vm delete gone\r")
    terminal.prompt("[y/N]")
    terminal.child.send("n\r")
    assert "nothing was changed" in terminal.ready()
    terminal.child.send("!echo rea''dy; read word; echo got $word\r")
    terminal.prompt("ready\r\n")
    terminal.child.send("this\r")
    terminal.prompt("got this")
    terminal.ready()
    terminal.child.send("!echo rea''dy; sleep 3600\r")
    terminal.prompt("ready\r\n")
    terminal.child.sendintr()
    terminal.ready()
    assert terminal("echo still here") == "still here\n"
    assert terminal.leave() == 0


def test_ctrl_c_is_left_to_the_program_that_shows_the_results(begin: Begin) -> None:
    terminal = begin()
    terminal.ready()
    trap = "trap 'echo heard; exit 4' INT; echo rea''dy; cat; while :; do sleep 1; done"
    terminal.child.send(f"echo x | {trap}\r")
    terminal.prompt("ready\r\n")
    terminal.prompt("x\r\n")
    terminal.child.sendintr()
    assert "heard" in terminal.ready()
    assert terminal("echo $?") == "4\n"
    assert terminal.leave() == 0


def test_a_resized_terminal(begin: Begin, env: dict[str, str]) -> None:
    cms(env, "vm", "boot", "--cloud", "aws", "--name", "wide")
    terminal = begin()
    terminal.ready()
    terminal.child.setwinsize(20, 70)
    terminal.child.send("echo settled\r")
    terminal.prompt("settled\r\n")
    terminal.ready()
    assert max(map(len, terminal("vm list --cached").splitlines())) <= 70
    assert terminal.leave() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_shell(begin: Begin, own_home: Path, number: signal.Signals) -> None:
    terminal = begin()
    terminal.ready()
    terminal("echo kept")
    terminal.child.kill(number)
    assert terminal.ended() == 130
    assert (own_home / ".cloudmesh" / "history").read_text() == "echo kept\n"


def test_a_signal_ends_shell_and_command(begin: Begin) -> None:
    terminal = begin()
    terminal.ready()
    terminal.child.send("vm boot --cloud slow --name late\r")
    terminal.prompt("pending")
    terminal.child.kill(signal.SIGTERM)
    assert terminal.ended() == 130


def test_a_terminal_that_can_do_nothing(begin: Begin, own_home: Path) -> None:
    terminal = begin(TERM="dumb")
    terminal.prompt("cms local> ")
    terminal.child.sendline("echo 'one")
    terminal.prompt("> ")
    terminal.child.sendline("two'")
    terminal.prompt("one\r\ntwo\r\n")
    terminal.prompt("cms local> ")
    terminal.child.sendline("sleep 3600")
    history, end = own_home / ".cloudmesh" / "history", time.monotonic() + 60
    while "sleep 3600" not in history.read_text():
        assert time.monotonic() < end, "the line was never read"
        time.sleep(0.05)
    terminal.child.sendintr()
    terminal.prompt("cms local> ")
    terminal.child.sendeof()
    assert terminal.ended() == 130
    assert "\x1b" not in str(terminal.child.before)


def test_scripts_have_exit_codes(env: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "lab.cms"
    script.write_text("vm boot --cloud aws --name $1\nvm info nowhere\nvm boot --cloud aws --name never\n")
    done = cms(env, str(script), "one", "-o", "name", code=3)
    assert done.stdout == "one\n"
    assert f"error: {script}:2: no VM named 'nowhere'" in done.stderr
    done = cms(env, str(script), "two", "--keep-going", "-o", "name", code=3)
    assert done.stdout == "two\nnever\n"
    assert cms(env, stdin="vm list --cloud aws --cached -o name\n").stdout == "never\none\ntwo\n"
    assert cms(env, "shell", "-", stdin="exit 7\n", code=7).stdout == ""


def test_a_reader_that_leaves_ends_a_script(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "lab.cms").write_text("echo a line of some length\n" * 20_000)
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{CMS[0]}" -m cloudms {tmp_path}/lab.cms | head -n 1'],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (141, "a line of some length\n", "")
