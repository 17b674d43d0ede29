"""The command line as a whole: words, exit codes, the two streams."""

from __future__ import annotations

import io
import json
import random
import sys
from pathlib import Path

import pytest

from cloudms import __version__, errors, registry
from cloudms.context import Context
from cloudms.doors.caught import told
from cloudms.doors.cli import main
from cloudms.doors.screen import Screen
from cloudms.engine import process
from cloudms.registry import Index, VerbEntry
from tests.unit.doors.conftest import Cms

WORDS = """
    toy list make show types lines sub deep alone help fail data -o json yaml csv --output --output= -o=json
    --columns name a,b,, --dry-run -y --yes -q -- - = --= -= --- -n -1 1e999 nan --number --label a=b =b
    --cloud local near é 漢字 web[1- web[1-3] * $HOME `id` %s {} {0} --no-check --check=1 --force=x
    --help=1 -hh -qn --file
"""
"""What a person may type, sense and nonsense."""

CODES = {cls.exit_code for cls in errors.tree()} | {0}


@pytest.mark.parametrize("cls", errors.tree(), ids=lambda cls: cls.code)
@pytest.mark.parametrize("output", ["table", "json", "yaml", "csv", "name"])
def test_every_error_has_its_exit_code_and_leaves_stdout_alone(
    cms: Cms, cls: type[errors.CloudmsError], output: str
) -> None:
    ran = cms("toy", "fail", cls.code, "-o", output)
    assert (ran.code, ran.out) == (cls.exit_code, "")
    if output == "json":
        assert ran.complaints == [
            {
                "kind": "error",
                "code": cls.code,
                "message": f"it is {cls.code}",
                "hint": "do something",
                "retryable": cls.retryable,
                "details": {"a": 1},
            }
        ]
    else:
        assert ran.err == f"error: it is {cls.code}\nhint:  do something\n"


def test_exit_codes_are_the_documented_ones() -> None:
    assert {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 130} == CODES
    drawn = errors.__doc__ or ""
    for cls in errors.tree()[1:]:
        own = cls.exit_code != cls.__bases__[0].exit_code
        assert any(cls.__name__ in line and (not own or str(cls.exit_code) in line) for line in drawn.splitlines())


def test_a_bug_is_one_line_without_traceback(cms: Cms) -> None:
    ran = cms("toy", "bug")
    assert ran.code == 1
    assert ran.err == (
        "error: this is a bug in cloudms: ZeroDivisionError: a secret of two lines\n"
        "hint:  the same command with --debug shows where; please report it\n"
    )


def test_debug_shows_where_a_bug_is(cms: Cms) -> None:
    ran = cms("toy", "bug", "--debug")
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert "toys.py" in ran.err


def test_an_interrupt_is_a_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(KeyboardInterrupt(), Screen()) == 130
    assert capsys.readouterr().err == "error: stopped\nhint:  cms operation list shows what was begun\n"


@pytest.mark.parametrize(("code", "number"), [(3, 3), (None, 0), ("words", 1)])
def test_the_exit_code_of_another_program_is_passed_on(code: object, number: int) -> None:
    assert told(SystemExit(code), Screen()) == number


@pytest.mark.parametrize("words", [["vesion"], ["toy", "lsit"], ["toy", "elsewhere"], ["--frobnicate"], ["toy", "-x"]])
def test_words_that_are_no_command_are_refused_in_one_line(cms: Cms, words: list[str]) -> None:
    ran = cms(*words)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 2


def test_the_nearest_command_is_named(cms: Cms) -> None:
    assert "cms toy list" in cms("toy", "lsit").err
    assert "cms toy" in cms("tyo").err


def test_the_ways_to_ask_for_help_are_the_same(cms: Cms) -> None:
    assert cms("--help").out == cms("-h").out == cms("help").out
    assert cms("--help").code == 0


def test_without_words_commands_come_from_stdin(cms: Cms, monkeypatch: pytest.MonkeyPatch, index: Index) -> None:
    shell = VerbEntry(path=("shell",), module="cloudms.verbs.shell", summary="Start the shell", doors=("cli",))
    monkeypatch.setattr(registry, "_index", index.with_(verbs=(*index.verbs, shell)))
    monkeypatch.setattr(sys, "stdin", io.StringIO("alone x\nalone y\n"))
    assert cms().out == "x\ny\n"
    monkeypatch.setattr(sys, "stdin", None)
    assert cms().out == cms("--help").out


def test_version_needs_no_verb(cms: Cms) -> None:
    assert cms("--version").out == f"cms {__version__}\n"


@pytest.mark.parametrize("words", [["toy"], ["toy", "--help"], ["help", "toy"]])
def test_a_noun_alone_lists_its_commands(cms: Cms, words: list[str]) -> None:
    ran = cms(*words)
    assert ran.code == 0
    assert "Usage: cms toy COMMAND" in ran.out
    assert "  sub deep" in ran.out
    assert "elsewhere" not in ran.out


def test_words_below_a_noun_list_theirs(cms: Cms) -> None:
    assert "Usage: cms toy sub COMMAND" in cms("toy", "sub").out


@pytest.mark.parametrize("words", [["toy", "list", "-h"], ["help", "toy", "list"], ["toy", "ls", "--help"]])
def test_help_of_a_command(cms: Cms, words: list[str]) -> None:
    ran = cms(*words)
    assert ran.code == 0
    assert ran.out.startswith("Usage: cms toy list [OPTIONS]\n")


def test_three_words_make_a_command(cms: Cms) -> None:
    assert cms("toy", "sub", "deep").out == "deep\n"


def test_one_word_makes_a_command(cms: Cms) -> None:
    assert cms("alone").out == "lonely\n"
    assert cms("alone", "x").out == "x\n"


def test_an_alias_of_a_verb_is_the_verb(cms: Cms) -> None:
    assert cms("toy", "ls", "-o", "name").out == "web1\nweb2\n"


@pytest.mark.parametrize(
    "words", [["-o", "json", "toy", "data"], ["--output=json", "toy", "data"], ["-q", "-o", "json", "toy", "data"]]
)
def test_options_of_every_command_may_stand_first(cms: Cms, words: list[str]) -> None:
    assert cms(*words).json["version"] == 1


def test_an_option_without_its_value_is_refused(cms: Cms) -> None:
    assert cms("-o").code == 2
    assert cms("toy", "data", "-o").code == 2
    assert "did you mean 'json'" in cms("toy", "data", "-o", "jsno").err


def test_usage_errors_are_json_too(cms: Cms) -> None:
    ran = cms("toy", "list", "--itmes", "3", "-o", "json")
    assert ran.complaints[0]["code"] == "invalid"
    assert "--items" in ran.complaints[0]["hint"]


def test_warnings_of_a_verb_come_on_stderr(cms: Cms) -> None:
    ran = cms("toy", "warn")
    assert (ran.out, ran.err) == ("ok\n", "warning: the moon is full\n")
    assert cms("toy", "warn", "-q").err == ""
    assert cms("toy", "warn", "-o", "json").complaints == [{"kind": "warning", "message": "the moon is full"}]


def test_words_that_are_no_text_are_refused(cms: Cms) -> None:
    ran = cms("toy", "show", "web\udcff")
    assert ran.code == 2
    assert "UTF-8" in ran.err


@pytest.mark.parametrize("seed", range(8))
def test_no_words_whatever_make_a_traceback(cms: Cms, seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    pool = [*WORDS.split(), "", " ", "\x00", "\x1b[31m", "\udcff", "9" * 5000, str(tmp_path)]
    for _ in range(60):
        words = [dice.choice(pool) for _ in range(dice.randrange(7))]
        if words[:1] != ["toy"] and dice.random() < 0.7:
            words.insert(0, "toy")
        ran = cms(*words)
        assert ran.code in CODES - {1}, (words, ran.err)
        assert "Traceback" not in ran.err, words


@pytest.mark.parametrize(
    "words",
    [
        ["toy", "list"],
        ["toy", "list", "--items", "0"],
        ["toy", "list", "--silent", "1"],
        ["toy", "list", "--silent", "1", "--items", "0"],
        ["toy", "show", "web1"],
        ["toy", "text"],
        ["toy", "data"],
        ["toy", "rows"],
        ["toy", "lines"],
        ["toy", "lines", "--fail"],
        ["toy", "make", "a", "b"],
        ["toy", "make", "a", "b", "--fail", "b"],
        ["toy", "make", "a", "--fail", "a"],
        ["toy", "make", "a", "b", "--gone"],
        ["toy", "make", "none"],
        ["toy", "make", "a", "--dry-run"],
    ],
    ids=" ".join,
)
def test_what_every_kind_of_verb_prints_can_be_read_by_machines(cms: Cms, words: list[str]) -> None:
    ran = cms(*words, "-o", "json")
    assert isinstance(ran.json, list | dict | str)
    for line in ran.err.splitlines():
        assert json.loads(line)["kind"] in ("error", "note", "progress", "warning")


def test_main_takes_any_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("toy", "text")) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_plugin_that_exits_has_a_bug(
    monkeypatch: pytest.MonkeyPatch, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = {"name": "moonware", "modules": ["tests"]}
    monkeypatch.setattr(registry, "_index", index.with_(plugins=(plugin,)))
    monkeypatch.setattr(process, "beside", lambda argv: 7)
    ctx = Context()
    ctx.lasting = True
    with pytest.raises(SystemExit) as own:
        sys.exit(0)
    with pytest.raises(SystemExit) as meant:
        process.become(ctx, ["ssh"])
    assert told(own.value, Screen()) == 1
    assert "a bug in the plug-in 'moonware': SystemExit: 0" in capsys.readouterr().err
    assert told(meant.value, Screen()) == 7
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("format_", [lambda rows, view: None, lambda rows, view: [5], 7])
def test_a_format_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, cms: Cms, format_: object) -> None:
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda family, name: format_ if name == "csv" else load(family, name))
    ran = cms("toy", "show", "web1", "-o", "csv")
    assert ran.code == 1
    assert "the format 'csv' of a plug-in gives" in ran.err
