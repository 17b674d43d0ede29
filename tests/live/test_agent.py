"""The half of experiments that runs on nodes, with the shells of this machine (`test_experiment` has the guest's)."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import pytest

from cloudms.jobs import setup
from cloudms.jobs.spec import Archive, Git, Setup, Transfer

pytestmark = [pytest.mark.live, pytest.mark.services]

AGENT = str(files("cloudms.jobs").joinpath("agent.sh"))
SHELLS = [shell for shell in ("dash", "busybox") if shutil.which(shell)] or ["sh"]
LIMIT = 60.0
"""Seconds that a loaded machine may take for what is due at once."""


class Agent:
    """The agent in a home of its own."""

    def __init__(self, shell: str, home: Path) -> None:
        self.words = [shell, "sh", AGENT] if shell == "busybox" else [shell, AGENT]
        self.home = home
        self.here = home / ".cms" / "experiments" / "exp"

    def __call__(self, *words: str, sent: bytes = b"") -> list[list[str]]:
        """Call it and return the lines of its answer, in words."""
        argv = [*self.words, "exp", *words]
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        done = subprocess.run(argv, input=sent, capture_output=True, env=environment, timeout=LIMIT, check=True)
        return [line.split() for line in done.stdout.decode().splitlines()]

    def until(self, *names: str) -> dict[str, list[str]]:
        """Return how tasks ended, when they all have."""
        end = time.monotonic() + LIMIT
        while True:
            ended = {line[1]: line[2:] for line in self("status") if line[0] == "ended"}
            if all(name in ended for name in names):
                return ended
            assert time.monotonic() < end, self("status")
            time.sleep(0.1)

    def out(self, name: str) -> Path:
        """Return the folder of what is to be got of a task."""
        return self.here / "tasks" / name / "out"


def sent(script: str, *names: str, more: Mapping[str, str] | None = None, **conf: object) -> bytes:
    """Return what is sent for tasks: the first time with the experiment."""
    texts = {
        "exp/script": script,
        "exp/conf": "".join(f"{key} {value}\n" for key, value in conf.items()),
        "exp/outputs": "result*\n",
        **{f"tasks/{name}/env": f"export n='{name}'\n" for name in names},
        **(more or {}),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.fixture(params=SHELLS)
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    """Return an agent; what it runs ends with the test."""
    made = Agent(request.param, tmp_path)
    yield made
    made("clean")


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_tasks_end_as_their_commands_do(agent: Agent) -> None:
    script = """case $n in
        1.1) echo out; echo err >&2; echo 7 >result.txt ;;
        2.1) exit 3 ;;
        3.1) kill -9 $$ ;;
        4.1) trap 'exit 9' TERM; sleep 60 & wait ;;
        5.1) sleep 60 ;;
    esac"""
    agent("put", sent=sent(script, "1.1", "2.1", "3.1", "4.1", "5.1", slots=5, timeout=2, grace=1))
    ended = agent.until("1.1", "2.1", "3.1", "4.1", "5.1")
    assert [(ended[name][0], ended[name][3]) for name in sorted(ended)] == [
        ("0", "-"), ("3", "-"), ("137", "-"), ("9", "timeout"), ("143", "timeout"),
    ]  # fmt: skip
    assert int(ended["5.1"][2]) >= 190, "hundredths of a second"
    assert (agent.out("1.1") / "stdout").read_text() == "out\n"
    assert (agent.out("1.1") / "stderr").read_text() == "err\n"
    assert (agent.out("1.1") / "outputs" / "result.txt").read_text() == "7\n"
    assert not (agent.out("1.1") / "missing").exists()
    assert (agent.out("2.1") / "missing").read_text() == "result*\n"


def test_every_task_is_begun_once_however_often_it_is_sent(agent: Agent, tmp_path: Path) -> None:
    names = [f"{number:04d}.1" for number in range(1, 31)]
    packed = sent(f"echo $n >>{tmp_path}/begun", *names, slots=4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: agent("put", sent=packed), range(8)))
    agent.until(*names)
    assert sorted((tmp_path / "begun").read_text().split()) == names
    wait_for(lambda: not list((agent.here / "slots").iterdir()))


def test_no_more_run_at_once_than_there_are_slots(agent: Agent, tmp_path: Path) -> None:
    names = [f"{number}.1" for number in range(1, 7)]
    script = f"mkdir -p {tmp_path}/at; : >{tmp_path}/at/$n; ls {tmp_path}/at | wc -l; sleep 0.2; rm {tmp_path}/at/$n"
    agent("put", sent=sent(script, *names, slots=2))
    agent.until(*names)
    assert {(agent.out(name) / "stdout").read_text().strip() for name in names} <= {"1", "2"}


def test_what_is_printed_is_kept_up_to_the_limit_and_at_once(agent: Agent) -> None:
    agent(
        "put",
        sent=sent(
            "echo first; [ $n = 1.1 ] || exec sleep 60; yes | head -c 50000000", "1.1", "2.1", slots=2, limit=4096
        ),
    )
    assert agent.until("1.1")["1.1"][0] == "0"
    assert (agent.out("1.1") / "stdout").stat().st_size == 4096
    wait_for(lambda: agent("tail", "2.1", "stdout", "1") == [["first"]])
    assert agent("tail", "2.1", "stdout", "3") == [["rst"]]


def test_what_a_task_leaves_running_ends_with_it(agent: Agent) -> None:
    agent("put", sent=sent("sleep 300 & echo $!", "1.1"))
    agent.until("1.1")
    pid = int((agent.out("1.1") / "stdout").read_text())
    wait_for(lambda: not alive(pid))


def test_a_task_whose_runner_was_killed_is_told_and_ended_and_the_rest_goes_on(agent: Agent) -> None:
    agent("put", sent=sent("echo $n; [ $n = 2.1 ] || exec sleep 300", "1.1", "2.1"))
    claim = agent.here / "tasks" / "1.1" / "claim"
    wait_for(lambda: bool(agent("tail", "1.1", "stdout", "1")))
    os.kill(int(claim.read_text().split()[0]), signal.SIGKILL)
    ended = agent.until("1.1", "2.1")
    assert (ended["1.1"][0], ended["1.1"][3]) == ("-", "killed")
    assert ended["2.1"][0] == "0"
    assert not alive(int((claim.parent / "group").read_text()))


def test_a_task_that_ran_when_the_node_went_down_is_lost_and_the_rest_goes_on(agent: Agent) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    agent("put", sent=sent("echo $n; [ $n = 2.1 ] || exec sleep 300", "1.1", "2.1"))
    claim, slot = agent.here / "tasks" / "1.1" / "claim", agent.here / "slots" / "1"
    wait_for(lambda: bool(agent("tail", "1.1", "stdout", "1")))
    os.kill(int(claim.read_text().split()[0]), signal.SIGKILL)
    os.killpg(int((claim.parent / "group").read_text()), signal.SIGKILL)
    for file in (claim, slot):
        file.write_text(file.read_text().replace(boot, "an-earlier-boot"))
    ended = agent.until("1.1", "2.1")
    assert ended["1.1"][3] == "restarted"
    assert ended["2.1"][0] == "0"


def test_a_task_is_either_given_back_or_begun(agent: Agent, tmp_path: Path) -> None:
    names = [f"{number:04d}.1" for number in range(1, 21)]
    agent("put", sent=sent(f"echo $n >>{tmp_path}/begun", *names))
    lines = agent("withdraw", *names[5:])
    back = {line[1] for line in lines if line[0] == "withdrawn"}
    agent.until(*(name for name in names if name not in back))
    assert set((tmp_path / "begun").read_text().split()) == set(names) - back


def test_tasks_are_stopped_on_request(agent: Agent) -> None:
    agent("put", sent=sent("trap '' TERM; sleep 300", "1.1", "2.1", grace=1))
    wait_for(lambda: (agent.here / "tasks" / "1.1" / "group").exists())
    assert ["withdrawn", "2.1"] in agent("stop")
    assert agent.until("1.1")["1.1"][3] == "cancelled"


def test_what_was_got_is_forgotten_and_never_run_again(agent: Agent, tmp_path: Path) -> None:
    packed = sent(f"echo $n >>{tmp_path}/begun", "1.1")
    agent("put", sent=packed)
    agent.until("1.1")
    assert not [line for line in agent("forget", "1.1") if line[0] == "ended"]
    agent("put", sent=packed)
    agent("status")
    assert not (agent.here / "tasks" / "1.1").exists()
    assert (tmp_path / "begun").read_text() == "1.1\n"


def test_a_node_is_set_up_once_and_its_tasks_know_of_it(agent: Agent) -> None:
    script = "echo set up; echo hello >given; echo 'export WORD=word' >../profile"
    packed = sent("", more={"script": script})
    assert [line[0] for line in agent("prepare", "abc", sent=packed)][:2] == ["cms", "setup"]
    agent("put", sent=sent("echo $WORD", "1.1", setup="abc"))
    agent.until("1.1")
    assert (agent.out("1.1") / "stdout").read_text() == "word\n"
    folder = agent.home / ".cms" / "setup" / "abc"
    assert (folder / "work" / "given").read_text() == "hello\n"
    before = (folder / "end").stat().st_mtime_ns
    assert ["setup", "abc", "done"] in agent("prepare", "abc", sent=packed)
    assert (folder / "end").stat().st_mtime_ns == before


def test_repositories_archives_files_and_commands_are_set_up(agent: Agent, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "fit.sh").write_text("echo fit")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(code)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True, timeout=LIMIT, capture_output=True)
    (code / "fit.sh").write_text("echo later")
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], check=True, timeout=LIMIT)
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as archive:
        archive.add(code / "fit.sh", arcname="data/fit.sh")
    (tmp_path / "word.txt").write_text("word")
    wanted = Setup(
        git=(Git(url=f"file://{code}", ref="v1", into="old"), Git(url=f"file://{code}", into="new")),
        archives=(Archive(source=str(tmp_path / "data.tar.gz"), into="unpacked"),),
        files=(Transfer(source=str(tmp_path / "word.txt"), target="given/word.txt"),),
        commands=("cat given/word.txt >made", 'test -n "$CMS_SETUP"'),
    )
    with setup.parcel(wanted).packed() as packed:
        agent("prepare", setup.digest(wanted), sent=packed if isinstance(packed, bytes) else packed.read_bytes())
    agent(
        "put",
        sent=sent(
            'cd "$CMS_SETUP"; sh old/fit.sh; sh new/fit.sh; cat made unpacked/data/fit.sh',
            "1.1",
            setup=setup.digest(wanted),
        ),
    )
    agent.until("1.1")
    assert (agent.out("1.1") / "stdout").read_text() == "fit\nlater\nwordecho later"


def test_every_task_has_the_inputs_and_folders_of_its_own(agent: Agent) -> None:
    more = {"exp/inputs/data/x.txt": "x\n", "exp/inputs/fit.py": "print(1)\n"}
    script = "cat data/x.txt fit.py; ls data; echo mine >data/result; mkdir -p results; mv data/result results"
    agent("put", sent=sent(script, "1.1", "2.1", more=more, slots=2))
    agent.until("1.1", "2.1")
    for name in ("1.1", "2.1"):
        assert (agent.out(name) / "stdout").read_text() == "x\nprint(1)\nx.txt\n"
        assert (agent.out(name) / "outputs" / "results" / "result").read_text() == "mine\n"


def test_a_set_up_that_fails_says_so_and_nothing_begins(agent: Agent) -> None:
    agent("prepare", "abc", sent=sent("", more={"script": "echo no such thing >&2; exit 4"}))
    lines = agent("put", sent=sent("true", "1.1", setup="abc"))
    wait_for(lambda: ["setup", "abc", "failed", "4"] in agent("status"))
    assert ["queued", "1.1"] in lines
    assert ["queued", "1.1"] in agent("status")
    assert "thing" in str(agent("log", "abc"))


def test_nothing_is_left_of_what_is_removed(agent: Agent) -> None:
    agent("put", sent=sent("echo $$; sleep 300", "1.1", timeout=500))
    wait_for(lambda: bool(agent("tail", "1.1", "stdout", "1")))
    pids = [int((agent.here / "tasks" / "1.1" / name).read_text()) for name in ("group", "watch")]
    agent("clean")
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert not agent.here.exists()
