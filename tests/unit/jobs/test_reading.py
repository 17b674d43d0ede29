"""Experiments as people write them: what is read of each, or the one line that says what is wrong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cloudms.errors import ConfigError, Invalid
from cloudms.jobs import parameters
from cloudms.jobs.reading import read
from cloudms.jobs.script import misspelled, placed, script, shown, variables
from cloudms.jobs.spec import Spec

CASES = Path(__file__).parent.parent.parent / "cases" / "experiments"
GOOD = sorted(file for file in CASES.glob("*.yaml") if not file.name.startswith("broken-"))
BROKEN = sorted(CASES.glob("broken-*.yaml"))


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_what_is_read(file: Path) -> None:
    spec = read(file)
    expected: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["x-expect"]
    tasks = list(parameters.tasks_of(spec))
    assert [dict(task.params) for task in tasks] == expected.pop("tasks")
    assert [task.number for task in tasks] == list(range(1, parameters.count(spec) + 1))
    assert [task.repeat for task in tasks] == expected.pop("repeats", [task.repeat for task in tasks])
    if "script" in expected:
        assert script(spec) == expected.pop("script")
    document = spec.to_document()
    assert {name: document[name] for name in expected} == expected
    assert Spec.from_document(document) == spec
    assert spec.name == file.stem


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_what_is_wrong_is_said_in_a_line(file: Path) -> None:
    told = re.search(r"# error, line (\d+): (.*)\n# hint: (.*)\n", file.read_text(encoding="utf-8"))
    assert told
    with pytest.raises(ConfigError) as caught:
        read(file)
    error = caught.value
    assert error.message.startswith(f"{file}:{told[1]}: ")
    assert told[2] in error.message
    assert error.hint == told[3] if told[3] else error.hint
    assert error.details["line"] == int(told[1])
    assert "hush-hush" not in error.message + error.hint


def test_there_are_cases_of_both_kinds() -> None:
    assert len(GOOD) >= 8
    assert len(BROKEN) >= 30


def test_all_that_a_file_may_say() -> None:
    spec = read(CASES / "whole.yaml")
    assert [(each.url, each.ref, each.into) for each in spec.setup.git] == [
        ("https://example.org/fit.git", "", ""),
        ("git@example.org:you/data.git", "v1.2", "data"),
    ]
    assert [(each.source, each.into) for each in spec.setup.archives] == [("https://example.org/code.tar.gz", "code")]
    assert [(each.source, each.target) for each in spec.setup.files] == [(str(CASES / "cities.csv"), "lib/places.csv")]
    assert [each.target for each in spec.inputs] == ["cities.csv", "head-only.csv", "ragged.csv"]
    assert [(v.name, v.source, v.regex, v.json) for v in spec.values] == [
        ("error", "stdout", "error=([0-9.]+)", ""),
        ("steps", "stdout", "", "run.steps"),
        ("score", "fit.json", "", "score"),
    ]
    assert (spec.timeout, spec.retries, spec.moves, spec.slots) == (90.0, 1, 0, 2)


def test_requirements_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy<3\n\n# for plots\nmatplotlib\n")
    file = tmp_path / "x.yaml"
    file.write_text("commands: ls\nsetup: {requirements: requirements.txt}\n")
    assert read(file).setup.requirements == ("numpy<3", "matplotlib")


SENT = ("inputs: [/etc/passwd]", "setup: {files: [x.yaml]}", "parameters: {csv: x.yaml}", "environment: {A: env:HOME}",
        "setup: {archive: /etc/passwd}", "setup: {requirements: ./x.txt}", "labels: !include x.yaml")  # fmt: skip


@pytest.mark.parametrize("line", SENT)
def test_a_file_that_is_sent_names_nothing_of_this_machine(tmp_path: Path, line: str) -> None:
    file = tmp_path / "sent.yaml"
    (tmp_path / "x.yaml").write_text("a: b\n")
    file.write_text(f"commands: ls\n{line}\n")
    with pytest.raises(ConfigError, match="that is sent"):
        read(file, sent=True)


WORDS = st.text("abcxyz_", min_size=1, max_size=6).filter(lambda word: word not in parameters.RESERVED)
GRIDS = st.dictionaries(WORDS, st.lists(st.integers(), min_size=1, max_size=4, unique=True), max_size=4)


@given(GRIDS, st.integers(1, 3))
def test_a_grid_is_every_combination_once_per_repeat(grid: dict[str, list[int]], repeats: int) -> None:
    spec = Spec(name="x", grid={name: tuple(values) for name, values in grid.items()}, repeats=repeats)
    tasks = list(parameters.tasks_of(spec))
    total = repeats
    for values in grid.values():
        total *= len(values)
    assert len(tasks) == parameters.count(spec) == total
    assert [task.number for task in tasks] == list(range(1, total + 1))
    assert len({(tuple(task.params.items()), task.repeat) for task in tasks}) == total
    assert all(task.params.keys() == grid.keys() for task in tasks)
    assert all(task.params[name] in values for task in tasks for name, values in grid.items())


@given(st.text(st.characters(blacklist_characters="\0", codec="utf-8"), max_size=30))
def test_a_value_never_becomes_a_part_of_the_text(value: str) -> None:
    spec = Spec(name="x", commands=("echo {v} '{v}' \"{v}\"",), grid={"v": (value,)})
    assert script(spec) == 'set -e\necho "${v}" \'\'"${v}"\'\' "${v}"\n'
    assert variables(spec, "x/0001", 1, {"v": value}, 1)["v"] == value


HARD = ("a 'b' \"c\" $(echo pwned >&2) `id` *", "x\ny", "-n", "ä ö", "")
PLACES = ("{v}", '"{v}"', "'{v}'", '"$(printf %s "{v}")"', "a{v}b", "\\\n{v}", "# it's\nprintf %s. {v}")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", HARD)
def test_the_shell_gets_the_value_as_it_is(place: str, value: str) -> None:
    text = placed(place if place.startswith("#") else f"printf %s. {place}", ["v"])
    done = subprocess.run(
        ["sh", "-c", text], env={"v": value, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    told = f"a{value}b" if place == "a{v}b" else value
    assert (done.stdout, done.stderr) == (f"{told}.", "")


def test_the_variables_of_a_task() -> None:
    spec = Spec(name="x", commands=("ls",), environment={"T": "env:T"}, grid={"a": (True, 0.5)})
    assert variables(spec, "x/0002", 2, {"a": True}, 1) == {
        "T": "env:T", "a": "true", "task": "x/0002", "repeat": "1", "number": "2", "CMS_EXPERIMENT": "x",
        "CMS_TASK": "x/0002", "CMS_REPEAT": "1", "CMS_NUMBER": "2",
    }  # fmt: skip


def test_a_placeholder_that_is_none_is_told() -> None:
    assert misspelled(["fit {alhpa} {print}", "awk '{x}'"], ["alpha", "beta"]) == [("alhpa", "alpha")]


def test_a_command_for_people() -> None:
    assert shown("fit {a} {b}", {"a": "x y", "b": 1}) == "fit 'x y' 1"


def test_parameters_can_be_set() -> None:
    spec = read(CASES / "grid.yaml")
    assert [dict(c.params) for c in parameters.tasks_of(parameters.chosen(spec, {"alpha": "0.5"}))] == [
        {"alpha": 0.5, "beta": "a b"},
        {"alpha": 0.5, "beta": "NO"},
    ]
    rows = parameters.chosen(read(CASES / "csv.yaml"), {"city": "Paris"})
    assert [dict(c.params) for c in parameters.tasks_of(rows)] == [
        {"city": "Paris", "n": "007"},
        {"city": "Paris", "n": "1"},
    ]
    with pytest.raises(Invalid, match="no parameter 'alhpa'") as caught:
        parameters.chosen(spec, {"alhpa": "1"})
    assert caught.value.hint == "did you mean 'alpha'?"
