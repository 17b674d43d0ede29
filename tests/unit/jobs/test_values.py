"""Values that are found in what tasks print and leave, and the table that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.errors import Invalid
from cloudms.jobs import results, values
from cloudms.jobs.spec import Value
from cloudms.model import Experiment, Task

LOG = """step 1
error=0.5
error=1e-3 (last)
name=Köln
{"a": 1}
{"run": {"steps": [3, 4.5], "ok": true, "x.y": "z"}}
bye
"""


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"regex": r"error=(\S+)"}, 0.001),
        ({"regex": r"^step \d"}, "step 1"),
        ({"regex": r"name=(.*)$"}, "Köln"),
        ({"regex": r"no(thing)"}, None),
        ({"json": "run.steps.0"}, 3),
        ({"json": "run.steps.-1"}, 4.5),
        ({"json": "run.steps"}, "[3, 4.5]"),
        ({"json": "run.ok"}, True),
        ({"json": "run.x.y"}, "z"),
        ({"json": "a"}, 1),
        ({"json": "run.none"}, None),
    ],
)
def test_a_value_is_found_in_text(value: dict[str, str], found: Any) -> None:
    assert values.of_text(Value(name="v", **value), LOG) == found


def test_values_of_a_task(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "plots").mkdir(parents=True)
    (tmp_path / "stdout").write_bytes(b"\xff error=2\n")
    (tmp_path / "secret").write_text("score=9")
    (tmp_path / "outputs" / "fit.json").write_text('{\n "score": NaN,\n "n": 4\n}\n')
    (tmp_path / "outputs" / "plots" / "a.txt").write_text("score=7")
    (tmp_path / "outputs" / "link").symlink_to(tmp_path / "secret")
    wanted = (
        Value(name="error", regex=r"error=(\d)"),
        Value(name="warned", source="stderr", regex="warn"),
        Value(name="score", source="fit.json", json="score"),
        Value(name="n", source="fit.json", json="n"),
        Value(name="plot", source="plots/*", regex=r"score=(\d)"),
        Value(name="stolen", source="link", regex=r"score=(\d)"),
    )
    assert values.collected(wanted, tmp_path) == {"error": 2, "score": "NaN", "n": 4, "plot": 7}


def test_of_a_huge_output_the_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MOST", 100)
    (tmp_path / "stdout").write_text("v=1\n" + "x" * 1000 + "\nv=2\n" + "y" * 50)
    assert values.collected([Value(name="v", regex=r"v=(\d)")], tmp_path) == {"v": 2}


EXPERIMENT = Experiment(name="e", spec={"values": [{"name": "error"}]})
ENDED: list[tuple[int, int, str, str, int, dict[str, Any]]] = [
    (1, 1, "x", "done", 0, {"error": 0.5}),
    (2, 1, "x", "done", 0, {"error": 1.5}),
    (3, 1, "y", "failed", 3, {}),
    (4, 2, "y", "done", 0, {"error": "NaN"}),
]
TASKS = [
    Task(
        name=f"e/{number:04d}", experiment="e", number=number, params={"a": a, "b": b}, repeat=1 + number % 2,
        status=status, exit=code, seconds=2.0 * number, node="n1", attempt=1, values=found,
    )
    for number, a, b, status, code, found in ENDED
]  # fmt: skip


def test_one_table_over_parameters_and_values() -> None:
    assert results.columns(EXPERIMENT, TASKS) == (
        "task", "a", "b", "repeat", "error", "status", "exit", "seconds", "node", "attempt",
    )  # fmt: skip
    assert results.rows(EXPERIMENT, TASKS)[2] == {
        "task": 3, "repeat": 2, "status": "failed", "exit": 3, "seconds": 6.0, "node": "n1", "attempt": 1,
        "a": 1, "b": "y", "error": None,
    }  # fmt: skip


def test_a_table_by_parameter() -> None:
    rows, columns = results.grouped(EXPERIMENT, TASKS, ["a"], ["mean", "std", "max"])
    assert columns[:4] == ("a", "n", "of", "error_mean")
    assert [(row["a"], row["n"], row["of"], row["error_mean"], row["error_max"]) for row in rows] == [
        (1, 2, 3, 1.0, 1.5),
        (2, 1, 1, None, None),
    ]
    assert rows[0]["seconds_mean"] == 3.0
    assert rows[1]["seconds_std"] is None
    whole, _ = results.grouped(EXPERIMENT, TASKS, [], ["mean"])
    assert [(row["n"], row["of"]) for row in whole] == [(3, 4)]
    with pytest.raises(Invalid, match="'alpha' is no parameter"):
        results.grouped(EXPERIMENT, TASKS, ["alpha"], ["mean"])
