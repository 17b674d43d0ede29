"""Changing verbs at the command line: dry run, question, results, failures."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import yaml

from cloudms.catalog.base import Catalog
from cloudms.context import Context
from tests.unit.doors.conftest import Cms


class Terminal(io.StringIO):
    """A person who types."""

    def isatty(self) -> bool:
        return True


def typing(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))


def catalog() -> Catalog:
    return Context().catalog


def operations() -> int:
    return catalog().count("operation")


def test_a_dry_run_tells_and_changes_nothing(cms: Cms, own_home: Path) -> None:
    ran = cms("toy", "make", "web1", "webserver2", "--dry-run")
    assert ran.code == 0
    assert ran.out == (
        "would make 2 toys\n  web1,webserver2  toy.make    how=make size=3\n  mind it\nnothing was changed (dry run)\n"
    )
    assert not list((own_home / ".cloudmesh").glob("catalog*"))


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_a_dry_run_for_machines_is_the_plan(cms: Cms, output: str) -> None:
    plan = yaml.safe_load(cms("toy", "make", "a", "--dry-run", "-o", output).out)
    assert (plan["kind"], plan["verb"], plan["steps"][0]["target"]) == ("plan", "toy make", "a")
    assert plan["steps"][0]["params"] == {"how": "make", "size": 3, "empty": ""}


def test_a_dry_run_by_name_is_the_targets(cms: Cms) -> None:
    assert cms("toy", "make", "a", "b", "--dry-run", "-o", "name").out == "a\nb\n"


def test_a_dry_run_asks_nothing(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, "")
    assert cms("toy", "make", "a", "--sure", "--dry-run").code == 0


def test_results_are_the_nouns(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "b")
    assert (ran.code, ran.out) == (0, "NAME  STATE\na     running\nb     running\n")
    assert sorted(ran.err.splitlines()) == ["a: being painted", "a: done", "b: being painted", "b: done", "mind it"]
    assert operations() == 1


def test_one_result_is_a_list_too(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "-o", "json")
    assert [item["name"] for item in ran.json] == ["a"]
    assert [line["kind"] for line in ran.complaints] == ["note", "progress", "progress"]


def test_what_leaves_nothing_is_told_as_steps(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "--gone")
    assert ran.out.splitlines()[0].split() == ["TARGET", "CLOUD", "ACTION", "STATE", "SECONDS"]
    assert cms("toy", "make", "a", "--gone", "-o", "name").out == "a\n"


def test_some_failures_are_partial(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "b", "c", "--fail", "b", "-o", "json", "-q")
    assert ran.code == 12
    assert [item["name"] for item in ran.json] == ["a", "c"]
    assert [(e["code"], e["target"], e["operation"]) for e in ran.complaints] == [("not_ready", "b", "op-1")]


def test_when_all_fail_alike_the_code_is_theirs(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "b", "--fail", "a", "--fail", "b")
    assert (ran.code, ran.out) == (6, "")
    assert "error: a: a is stuck\nhint:  pull\n" in ran.err
    assert "a: failed" not in ran.err
    assert cms("toy", "make", "a", "--full", "a", "-o", "json").json == []


def test_when_all_fail_differently_the_code_is_partial(cms: Cms) -> None:
    assert cms("toy", "make", "a", "b", "--fail", "a", "--full", "b").code == 12


def test_nothing_to_do(cms: Cms) -> None:
    ran = cms("toy", "make", "none", "-o", "json")
    assert (ran.code, ran.json) == (0, [])
    assert operations() == 0


@pytest.mark.parametrize("answer", ["", "n\n", "no\n", "maybe\n", "\n"])
def test_the_question_is_asked_on_a_terminal(cms: Cms, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    typing(monkeypatch, answer)
    ran = cms("toy", "make", "a", "--sure")
    assert (ran.code, ran.out) == (130, "")
    assert "? make them all? [y/N] " in ran.err
    assert "nothing was changed" in ran.err
    assert operations() == 0


@pytest.mark.parametrize("answer", ["y\n", "YES\n", " yes \n"])
def test_yes_is_yes(cms: Cms, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    typing(monkeypatch, answer)
    assert cms("toy", "make", "a", "--sure").code == 0


def test_the_option_yes_answers(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, "n\n")
    ran = cms("toy", "make", "a", "--sure", "--yes")
    assert ran.code == 0
    assert "[y/N]" not in ran.err


def test_without_a_terminal_nothing_is_asked(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert cms("toy", "make", "a", "--sure").code == 0
    monkeypatch.setattr(sys, "stdin", None)
    assert cms("toy", "make", "b", "--sure").code == 0


def test_quiet_leaves_results_and_errors(cms: Cms) -> None:
    ran = cms("toy", "make", "a", "b", "--fail", "b", "-q")
    assert ran.out == "NAME  STATE\na     running\n"
    assert ran.err == "error: b: b is stuck\nhint:  pull\n"


def test_those_that_failed_alike_are_one_line_for_people_and_one_each_for_machines(cms: Cms) -> None:
    words = ("toy", "make", "a1", "a2", "b", "--full", "a1", "--full", "a2", "--fail", "b")
    ran = cms(*words, "-q")
    assert [line.split(":")[1].strip() for line in ran.err.splitlines() if line.startswith("error:")] == ["a[1-2]", "b"]
    assert [e["target"] for e in cms(*words, "-q", "-o", "json").complaints] == ["a1", "a2", "b"]
