"""Lines typed in the shell: the same commands as on the command line, and those of the shell itself."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from cloudms.context import Context
from cloudms.doors.options import Options
from cloudms.doors.shell.builtins import BUILTINS, USAGE
from cloudms.doors.shell.shell import Leave, Shell
from cloudms.registry import FAMILIES, _entries, _modules, _verbs_folder
from tests.unit.doors.conftest import Cms, real
from tests.unit.doors.shell.conftest import CONFIG, Typed


@pytest.fixture(autouse=True)
def configured(own_home: Path) -> Path:
    """Configure two clouds, and return the file."""
    file = own_home / ".cloudmesh" / "cloudmesh.yaml"
    file.parent.mkdir(mode=0o700)
    file.write_text(CONFIG)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    "line",
    [
        "toy list",
        "toy list -o json",
        "toy list --silent 1 -o yaml",
        "toy lsit",
        "toy fail not_found",
        "toy bug",
        "toy warn",
        "toy make a b --fail b -o csv",
        "toy make a --dry-run",
        "toy show é --columns name",
        "near toy list -o name",
        "mine -o name",
        "toy --help",
        "-o json toy data",
        "toy needs",
    ],
)
def test_a_command_does_the_same_as_on_the_command_line(typed: Typed, cms: Cms, line: str) -> None:
    other = cms(*line.split())
    ran = typed(line)
    assert (ran.code, ran.out) == (other.code, other.out)
    told = sorted(ran.err.replace("op-2", "op-1").splitlines())  # two steps at a time tell in any order
    assert told == sorted(other.err.splitlines())
    assert typed(f"cms {line}").code == other.code


def test_a_cloud_in_front_is_for_one_command_only(typed: Typed) -> None:
    assert "far" in typed("far toy list --silent 1").err
    assert "far0" in typed("toy list --silent 1").err


def test_the_shell_survives_a_bug(typed: Typed) -> None:
    ran = typed("toy bug")
    assert (ran.code, "Traceback" in ran.err) == (1, False)
    assert "Traceback" in typed("toy bug --debug").err
    assert typed("alone x").out == "x\n"


def test_signs_between_commands(typed: Typed) -> None:
    assert typed("alone a && alone b; toy fail denied || alone c").out == "a\nb\nc\n"
    assert typed("toy fail denied && alone b").out == ""
    assert typed("toy fail denied; alone b").out == "b\n"
    ran = typed("alone a || alone b; alone c &")
    assert (ran.code, ran.out) == (2, "")


def test_ctrl_c_stops_the_line_and_not_the_shell(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def hit(_self: Context, _seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Context, "pause", hit)
        ran = typed("sleep 100; alone b")
        assert (ran.code, ran.out) == (130, "")
    assert typed("alone c").out == "c\n"


def test_a_change_that_was_stopped_does_not_stop_the_next_one(
    typed: Typed, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hit(self: Context, _seconds: float) -> None:
        self.stop()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Context, "pause", hit)
        ran = typed("toy make a --wait")
        assert ran.code == 130
        assert "cms operation resume op-1" in ran.err
    assert typed("toy make b").code == 0
    assert not shell.context.stopping.is_set()


def test_output_goes_into_files(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "my file"
    assert typed(f"var f='{file}'; toy data -o json > $f").out == ""
    assert file.read_text().startswith("{")
    typed("echo x > $f; echo y >> $f")
    assert file.read_text() == "x\ny\n"
    ran = typed(f"echo x > {tmp_path}/none/file")
    assert (ran.code, f"there is no folder {tmp_path}/none\n" in ran.err) == (3, True)
    ran = typed(f"echo x > {tmp_path}")
    assert (ran.code, f"{tmp_path} cannot be written: Is a directory\n" in ran.err) == (5, True)
    assert (typed("echo x > ''").code, (tmp_path / "none").exists()) == (3, False)


def test_output_goes_to_programs(typed: Typed) -> None:
    assert typed("toy list -o name | sort -r").out == "web2\nweb1\n"
    assert typed("var y=web2; toy list -o name | grep $y").out == "web2\n"
    assert typed("toy list | exit 5").code == 5
    assert typed("toy fail denied | cat").code == 5
    assert (typed("toy many | head -c 3").out, typed("echo $?").out) == ("xxx", "0\n")


def test_lines_of_the_persons_own_shell(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    typed("var x=7")
    assert typed("!echo $x | tr 7 8; exit 3").out == "8\n"
    assert typed("echo $?").out == "3\n"
    assert typed("! kill -9 $$").code == 137


def test_variables(typed: Typed) -> None:
    assert typed("var x=5 y='a b'; echo $x {y}").out == "5 a b\n"
    assert typed("var").out == "x=5\ny=a b\n"
    assert typed("var x").out == "5\n"
    assert typed("var x=; var").out == "y=a b\n"
    assert typed("var x").code == 3
    assert typed("echo $x").code == 3
    assert typed("echo $cloud").out == "local\n"
    assert typed("toy show $y --columns name").out == "name  a b\n"


def test_small_commands(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("echo -n a  b").out == "a b"
    assert typed("banner two words").out == "#############\n# two words #\n#############\n"
    assert typed("sleep 0").code == 0
    assert [typed(f"sleep {word}").code for word in ("x", "-1", "", "nan", "1e10")] == [2] * 5
    assert typed("true").code == 0
    (tmp_path / "sub").mkdir()
    typed("cd sub")
    assert Path.cwd() == tmp_path / "sub"
    typed("cd")
    assert Path.cwd() == Path(os.environ["HOME"])
    assert typed("cd nowhere").code == 3


def test_pause_waits_only_for_somebody(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("kept\n"))
    assert typed("pause look").err == ""
    assert sys.stdin.readline() == "kept\n"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    assert typed("pause look").err == "look [Enter]"


def test_history(typed: Typed, shell: Shell) -> None:
    for number in range(30):
        shell.history.add(f"echo {number}")
    assert typed("history 2").out == "   29  echo 28\n   30  echo 29\n"
    assert len(typed("history").out.splitlines()) == 25
    assert typed("history x").code == 2
    typed("history clear")
    assert typed("history").out == ""


@pytest.mark.parametrize(("line", "code"), [("exit", 0), ("q 7", 7), ("quit 255", 255), ("toy fail denied; exit", 5)])
def test_leaving(typed: Typed, line: str, code: int) -> None:
    with pytest.raises(Leave) as caught:
        typed(line)
    assert caught.value.code == code


def test_leaving_with_nonsense_is_refused(typed: Typed) -> None:
    assert typed("exit 256").code == typed("exit x").code == 2


@pytest.mark.parametrize("line", ["help", "?"])
def test_help_tells_what_the_shell_adds(typed: Typed, line: str) -> None:
    ran = typed(line)
    assert ran.out.startswith("Only in the shell\n  help [WORDS]")
    assert "Usage: cms [CLOUD] COMMAND" in ran.out


@pytest.mark.parametrize("line", ["help toy list", "? toy list", "?toy list", "help cms toy list"])
def test_help_for_one_command(typed: Typed, line: str) -> None:
    assert typed(line).out.startswith("Usage: cms toy list [OPTIONS]\n")


@pytest.mark.parametrize("line", ["shell", "cms shell", "shell --help", "help shell", "shell lab.cms"])
def test_the_shell_is_not_begun_in_the_shell(typed: Typed, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    real(monkeypatch)
    ran = typed(line)
    assert (ran.code, ran.out) == (2, "")
    assert "'shell' is for the command line, and this is the shell\n" in ran.err
    assert "!cms shell runs it beside\n" in ran.err


def test_hints_name_only_what_the_shell_has(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    real(monkeypatch)
    assert "cms shell" not in typed("shelll").err
    assert "did you mean: cms cluster" in typed("clustr").err
    told = typed("help").out
    assert "\n  vm " in told
    assert "\n  shell " not in told


def test_help_for_a_command_of_the_shell(typed: Typed) -> None:
    assert typed("help sleep").out == "sleep SECONDS\n\n  Wait so many seconds; Ctrl-C ends it.\n"


def test_every_command_of_the_shell_is_told() -> None:
    assert list(USAGE) == list(BUILTINS)
    assert all((builtin.__doc__ or "").endswith(".") for builtin in BUILTINS.values())


def test_no_command_of_the_shell_hides_one_of_the_house() -> None:
    nouns = {e.path[0] for module, _ in _modules(_verbs_folder(), "cloudms.verbs") for e in _entries(module)}
    assert not nouns & set(BUILTINS)
    assert FAMILIES["cloudms.clouds"].keys().isdisjoint(BUILTINS)


def test_the_options_of_the_shell_are_those_of_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    shell = Shell(Options(output="json", quiet=True), builtins=BUILTINS)
    shell.line("toy data")
    shell.line("toy data -o yaml")
    shell.line("toy lsit")
    shell.close()
    shown = capfd.readouterr()
    assert shown.out.startswith("{")
    assert "version: 1" in shown.out
    assert '"code": "invalid"' in shown.err


def test_the_prompt_shows_the_default_cloud_as_it_is_now(shell: Shell, configured: Path) -> None:
    assert shell.prompt() == "cms local> "
    other = Context()
    other.config.put("cloud", "far")
    assert shell.prompt() == "cms far> "
    other.config.drop("cloud")
    configured.write_text(CONFIG + "  default: {cloud: near}\n")
    assert shell.prompt() == "cms near> "
    configured.write_text("cloudmesh: [")
    assert shell.prompt() == "cms ?> "
    configured.write_text(CONFIG)
    assert shell.prompt() == "cms local> "


def test_a_broken_configuration_is_said_and_the_shell_goes_on(typed: Typed, configured: Path) -> None:
    typed("toy make a")
    configured.write_text("cloudmesh: [")
    assert typed("toy make a").code == typed("nonsense").code
    assert typed("alone x").out == "x\n"
    configured.write_text(CONFIG)
    assert typed("toy make a").code == 0


def test_catalog_and_clouds_stay_open(typed: Typed, shell: Shell) -> None:
    typed("toy make a")
    catalog, cloud = shell.context.catalog, shell.context.cloud("near")
    typed("toy make b")
    assert shell.context.catalog is catalog
    assert shell.context.cloud("near") is cloud


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("!echo a\0b", 2, "zero byte"),
        ("echo a > 'x\0y'", 2, "zero byte"),
        ("quit \u00b2", 2, "no exit code"),
        ("history \u00b2", 2, "no number of lines"),
        ("history " + "9" * 5000, 2, "no number of lines"),
        ("echo ${" + "9" * 5000 + "}", 3, "argument"),
        ("cd ~nobody-of-that-name/x", 3, "No such file"),
        ("source ~nobody-of-that-name/x", 3, "there is no script"),
        ("echo a > one > two", 2, "one file only"),
    ],
)
def test_odd_words_are_refused_in_words(typed: Typed, line: str, code: int, said: str) -> None:
    ran = typed(line)
    assert ran.code == code
    assert said in ran.err
    assert "bug" not in ran.err


@pytest.mark.parametrize("line", ["!ls", "echo a | cat"])
def test_a_shell_that_is_not_there_is_named(typed: Typed, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("SHELL", "/nonexistent/sh")
    ran = typed(line)
    assert ran.code == 5
    assert ran.err.startswith("error: /nonexistent/sh cannot be started")


def test_a_full_disk_is_told_once(typed: Typed) -> None:
    ran = typed("echo a > /dev/full")
    assert ran.code == 7
    assert ran.err.count("error:") == 1


def test_the_words_of_the_shell_alone_are_taken_everywhere() -> None:
    from cloudms import registry
    from cloudms.doors.shell.builtins import BUILTINS

    assert frozenset(BUILTINS) == registry.SHELL_WORDS
    assert registry.index().reserved() > registry.SHELL_WORDS
