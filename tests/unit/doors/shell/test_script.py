"""Scripts: where they stop, what they say, what they are given."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.doors.shell.script import DEEPEST
from cloudms.registry import Index, VerbEntry
from tests.unit.doors.conftest import Cms


@pytest.fixture(autouse=True)
def script(index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Add the verb that starts the shell, and return the place of a script."""
    shell = VerbEntry(path=("shell",), module="cloudms.verbs.shell", summary="Start the shell", doors=("cli",))
    monkeypatch.setattr(registry, "_index", index.with_(verbs=(*index.verbs, shell)))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "lab.cms"


FAILS = """\
#!/usr/bin/env cms
# what a lab needs
alone \\
    first
toy fail denied

alone last
toy fail not_found
"""


@pytest.mark.parametrize("words", [["lab.cms"], ["./lab.cms"], ["shell", "lab.cms"]])
def test_a_script_stops_where_it_fails_and_says_where(cms: Cms, script: Path, words: list[str]) -> None:
    script.write_text(FAILS)
    ran = cms(*words)
    assert (ran.code, ran.out) == (5, "first\n")
    assert ran.err == "error: lab.cms:5: it is denied\nhint:  do something\n"


def test_a_script_goes_on_when_told(cms: Cms, script: Path) -> None:
    script.write_text(FAILS)
    ran = cms("lab.cms", "--keep-going")
    assert (ran.code, ran.out) == (5, "first\nlast\n")
    assert "lab.cms:8: it is not_found" in ran.err


def test_commands_on_one_line_stop_as_lines_do(cms: Cms) -> None:
    assert cms("shell", "-c", "toy fail denied; alone b").out == ""
    assert cms("shell", "-k", "-c", "toy fail denied; alone b").out == "b\n"
    assert cms("shell", "-c", "toy fail denied || true; alone b").out == "b\n"


def test_machines_are_told_where_too(cms: Cms, script: Path) -> None:
    script.write_text(FAILS)
    ran = cms("lab.cms", "-o", "json")
    assert json.loads(ran.err)["place"] == "lab.cms:5"


def test_results_of_many_are_told_with_their_place(cms: Cms, script: Path) -> None:
    script.write_text("toy make a b --fail b\n")
    ran = cms("lab.cms")
    assert ran.code == 12
    assert "error: lab.cms:1: b: b is stuck" in ran.err


def test_arguments(cms: Cms, script: Path) -> None:
    script.write_text('echo $0 $# "$2"\ntoy make $@ -o name\n')
    assert cms("lab.cms", "a", "b c").out == "lab.cms 2 b c\na\nb c\n"
    script.write_text("echo $3\n")
    assert cms("lab.cms", "a").code == 3
    script.write_text("echo $1\n")
    assert cms("lab.cms", "--", "--keep-going").out == "--keep-going\n"


def test_a_script_leaves_with_a_code(cms: Cms, script: Path) -> None:
    script.write_text("exit 9\nalone x\n")
    assert (cms("lab.cms").code, cms("lab.cms").out) == (9, "")


def test_scripts_call_scripts(cms: Cms, script: Path, tmp_path: Path) -> None:
    (tmp_path / "inner.cm").write_text("var x=$1\ntoy fail denied\n")
    script.write_text("source inner.cm 5 || echo went wrong: $x $1\n")
    ran = cms("lab.cms", "mine")
    assert (ran.code, ran.out) == (0, "went wrong: 5 mine\n")
    assert "inner.cm:2: it is denied" in ran.err


def test_a_script_that_calls_itself_ends(cms: Cms, script: Path) -> None:
    script.write_text("source lab.cms\n")
    ran = cms("lab.cms")
    assert ran.code == 2
    assert f"more than {DEEPEST} scripts" in ran.err


@pytest.mark.parametrize(
    ("words", "code"), [(["gone.cms"], 3), (["shell", "gone"], 3), (["shell", "."], 5), (["./gone"], 2)]
)
def test_a_script_that_cannot_be_read(cms: Cms, words: list[str], code: int) -> None:
    ran = cms(*words)
    assert (ran.code, ran.out) == (code, "")


def test_a_script_of_other_bytes(cms: Cms, script: Path) -> None:
    script.write_bytes(b"\xff\xfe")
    assert cms("lab.cms").code == 2


@pytest.mark.parametrize("text", ["alone 'x", "alone x \\", "alone x &&"])
def test_a_script_without_an_end(cms: Cms, script: Path, text: str) -> None:
    script.write_text(f"alone y\n{text}\n")
    ran = cms("lab.cms")
    assert (ran.code, ran.out) == (2, "y\n")
    assert "lab.cms:2: the command has no end" in ran.err


def test_no_file_hides_a_command(cms: Cms, tmp_path: Path) -> None:
    (tmp_path / "alone").write_text("alone script\n")
    (tmp_path / "plain").write_text("alone script\n")
    assert cms("alone").out == "lonely\n"
    assert cms("plain").code == 2
    assert cms("./plain").out == "script\n"


@pytest.mark.parametrize("words", [["shell", "-"], ["shell"], []])
def test_commands_come_from_stdin(cms: Cms, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("alone a\ntoy fail denied\nalone b\n"))
    ran = cms(*words)
    assert (ran.code, ran.out) == (5, "a\n")
    assert ran.err.startswith("error: stdin:2: ")


def test_only_line_ends_end_a_line(cms: Cms, script: Path) -> None:
    script.write_text("\ufeffalone a\r\nalone b\x0cc\u2028d # e\x85f\ntoy fail denied\n", encoding="utf-8")
    ran = cms("lab.cms")
    assert (ran.code, ran.out) == (5, "a\nb\x0cc\u2028d\n")
    assert ran.err.startswith("error: lab.cms:3: ")
