"""The commands of experiments, over an engine that is pretended."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from cloudms import registry
from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import Plan
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, NotReady
from cloudms.jobs import store
from cloudms.model import Experiment, Operation
from tests.unit.calling import Call
from tests.unit.jobs.pretend import PretendEngine
from tests.unit.verbs.conftest import outcome

FILE = """\
name: fit
description: How it falls
commands: python3 fit.py {alpha}
setup: {packages: [git], files: [fit.py]}
inputs: [data]
outputs: [fit.json]
parameters: {alpha: [1, 2], code: [0]}
repeats: 2
values: {found: 'alpha=(.*)'}
labels: {paper: icml}
"""


@pytest.fixture(autouse=True)
def pretended(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let experiments be run by the pretended engine."""
    PretendEngine.calls.clear()
    PretendEngine.unreachable = 0
    families = registry.index().families
    engines = {"ssh": "tests.unit.jobs.pretend:PretendEngine"}
    monkeypatch.setitem(registry.index().__dict__, "families", {**families, "cloudms.engines": engines})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of an experiment, with what it names beside it."""
    (tmp_path / "fit.py").write_text("print(1)\n")
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "a.csv").write_text("1,2\n")
    found = tmp_path / "fit.yaml"
    found.write_text(FILE)
    return found


def test_all_tasks_are_run_and_make_one_table(call: Call, ctx: Context, file: Path) -> None:
    result = outcome(call("experiment run", file, group="lab"))
    assert {key: result[key] for key in ("name", "status", "tasks", "done", "failed")} == {
        "name": "fit", "status": "done", "tasks": 4, "done": 4, "failed": 0,
    }  # fmt: skip
    rows = call("experiment results", "fit")
    assert [(row["task"], row["alpha"], row["repeat"], row["found"], row["exit"], row["seconds"]) for row in rows] == [
        (1, 1, 1, 1, 0, 2.5),
        (2, 1, 2, 1, 0, 2.5),
        (3, 2, 1, 2, 0, 2.5),
        (4, 2, 2, 2, 0, 2.5),
    ]
    assert [row["kind"] for row in rows] == ["result"] * 4
    (one, two) = call("experiment results", "fit", by=["alpha"], stat=["mean", "max"])
    assert (one["alpha"], one["n"], one["found_mean"], two["found_max"]) == (1, 2, 1.0, 2)
    assert any("cms experiment results fit" in note for note in ctx.notes)


def test_the_documents_of_the_seed(call: Call, file: Path) -> None:
    call("experiment run", file, group="lab")
    info = call("experiment info", "fit").to_public()
    assert {key: info[key] for key in ("name", "status", "input", "output", "description", "commands")} == {
        "name": "fit", "status": "done", "input": ["data"], "output": ["fit.json"], "description": "How it falls",
        "commands": ["python3 fit.py {alpha}"],
    }  # fmt: skip
    (listed,) = call("experiment list", label={"paper": "icml"}).items
    assert listed.name == "fit"
    assert call("experiment list", status="running").items == ()


def test_what_is_edited_later_changes_nothing(call: Call, file: Path) -> None:
    call("experiment run", file, group="lab")
    first = call("experiment info", "fit")
    (source,) = first.spec["setup"]["files"]
    (file.parent / "fit.py").write_text("print(2)\n")
    assert Path(source["source"]).read_text() == "print(1)\n"
    assert (Path(first.spec["inputs"][0]["source"]) / "sub" / "a.csv").read_text() == "1,2\n"
    call("experiment run", file, group="lab")
    second = call("experiment info", "fit-2")
    assert second.digest != first.digest
    (file.parent / "fit.py").write_text("print(1)\n")
    call("experiment run", file, group="lab", name="third")
    assert call("experiment info", "third").digest == first.digest


def test_a_plan_tells_what_would_be_done(call: Call, ctx: Context, file: Path) -> None:
    plan = call("experiment run", file, size=3, image="micro", dry_run=True)
    assert plan.summary == "run fit: 4 tasks on 3 new nodes of micro"
    assert plan.notes[0] == "the nodes are deleted when it has ended"
    assert plan.notes[1].startswith("3 VMs at 0.01 USD per hour are 0.03 USD per hour")
    assert plan.steps[0].params.keys() == {"file", "wishes", "token"}
    assert plan.shows["set-up"] == "packages: git\nfiles: fit.py\ninputs: data"
    assert plan.shows["tasks"].splitlines()[0] == "0001  python3 fit.py 1"
    assert plan.shows["nodes"].splitlines()[2] == "node-3  vm.boot  one  image=micro flavor=small"
    assert json.dumps(plan.steps[0].params)
    assert store.experiments(ctx) == []


def test_a_plan_of_many_tasks_shows_some(call: Call, file: Path) -> None:
    plan = call("experiment run", file, group="lab", repeats=5000, dry_run=True)
    assert plan.shows["tasks"].splitlines()[-1] == "and 9995 more"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "where is it to run"),
        ({"group": "lab", "size": 3}, "--group and --size exclude each other"),
        ({"image": "micro"}, "how many nodes are to be booted is not said"),
        ({"group": "lab", "set": {"alhpa": "1"}}, "no parameter 'alhpa'"),
        ({"group": "lab", "name": "a b"}, "has characters"),
        ({"size": 0}, "--size 0 is no number of nodes"),
        ({"size": 1, "repeats": 0}, "an experiment has 1 to 100000"),
        ({"group": "lab", "repeats": 1_000_000}, "an experiment has 1 to 100000"),
    ],
)
def test_what_cannot_be_is_refused(call: Call, file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        call("experiment run", file, **options)


def test_a_name_that_was_asked_for_is_not_changed(call: Call, file: Path) -> None:
    call("experiment run", file, group="lab", name="mine")
    with pytest.raises(Exists, match="an experiment 'mine'"):
        call("experiment run", file, group="lab", name="mine")


def test_a_placeholder_that_is_none_is_told(call: Call, ctx: Context, file: Path) -> None:
    file.write_text(FILE.replace("{alpha}", "{alpah}"))
    call("experiment run", file, group="lab", dry_run=True)
    assert ctx.warnings == ["{alpah} is no parameter and stays as it is; did you mean {alpha}?"]


def test_failed_tasks_are_an_error_and_can_be_run_again(call: Call, ctx: Context, file: Path) -> None:
    file.write_text(FILE.replace("code: [0]", "code: [0, 3]"))
    operation = call("experiment run", file, group="lab")
    error = outcome(operation)
    assert (error["code"], error["message"]) == ("partial", "4 of 8 tasks done, 4 failed")
    assert (operation.steps[0].result["status"], operation.steps[0].result["failed"]) == ("failed", 4)
    failed = call("experiment tasks", "fit", status="failed").items
    assert [(task.number, task.exit, task.reason) for task in failed] == [
        (3, 3, "exit code 3"), (4, 3, "exit code 3"), (7, 3, "exit code 3"), (8, 3, "exit code 3"),
    ]  # fmt: skip
    assert [task.number for task in call("experiment tasks", "fit", set={"alpha": "2", "code": "0"}).items] == [5, 6]
    plan = call("experiment rerun", "fit", failed=True, dry_run=True)
    assert plan.summary == "run 4 of 8 tasks of fit again"
    call("experiment rerun", "fit", task=["3,4"])
    attempts = [task.attempt for task in store.tasks(ctx, "fit")]
    assert attempts == [1, 1, 2, 2, 1, 1, 1, 1]
    assert call("experiment info", "fit").failed == 4
    with pytest.raises(Conflict, match="task 1 of fit is done"):
        call("experiment rerun", "fit", task=["1"])
    with pytest.raises(NotFound, match="fit has no task 99"):
        call("experiment rerun", "fit", task=["99"])


def test_it_goes_on_in_the_background(call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda argv, **_: begun.append(argv))
    result = outcome(call("experiment run", file, group="lab", detach=True))
    assert (result["status"], result["done"]) == ("running", 0)
    assert begun[0][-3:] == ["experiment", "watch", "fit"]
    assert call("experiment status", "fit")["tasks"] == {"waiting": 4}
    assert any("nobody drives it" in note for note in ctx.notes)
    assert [task.number for task in call("experiment watch", "fit")] == [1, 2, 3, 4]
    assert call("experiment status", "fit")["done"] == "4 of 4"


def test_ctrl_c_leaves_it_running(call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda argv, **_: begun.append(argv))
    monkeypatch.setattr(ctx.clock, "sleep", lambda _seconds: ctx.stop())
    with pytest.raises(Interrupted) as caught:
        call("experiment run", file, group="lab")
    assert caught.value.message == "fit goes on in the background"
    assert caught.value.hint == "cms experiment watch fit shows it, cms experiment cancel fit ends it"
    assert len(begun) == 1
    assert call("experiment info", "fit").status == "running"


def test_a_network_that_comes_back_is_waited_for(call: Call, clock: ManualClock, file: Path) -> None:
    PretendEngine.unreachable = 3
    assert outcome(call("experiment run", file, group="lab"))["status"] == "done"
    assert clock.slept[:3] == [2.0, 4.0, 8.0]


def test_a_killed_run_is_completed(call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda *_args, **_: None)
    call("experiment run", file, group="lab", detach=True)
    ctx.catalog.delete("task", ["fit/0003", "fit/0004"])
    assert len(list(call("experiment watch", "fit"))) == 4


def test_cancel(call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda *_args, **_: None)
    call("experiment run", file, group="lab", detach=True)
    with pytest.raises(Conflict, match="fit is running"):
        call("experiment delete", ["fit"])
    result = outcome(call("experiment cancel", ["fit"]))
    assert (result["status"], result["cancelled"]) == ("cancelled", 4)
    assert call("experiment cancel", ["fit"], dry_run=True).steps == ()
    assert outcome(call("experiment rerun", "fit", cancelled=True))["status"] == "done"


def test_logs(call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda *_args, **_: None)
    call("experiment run", file, group="lab", detach=True)
    with pytest.raises(NotReady, match="fit/0001 has not begun"):
        list(call("experiment logs", "fit/1"))
    one = store.task(ctx, "fit", 2)
    store.change(ctx, one, lambda now: now.with_(status="running"))
    assert list(call("experiment logs", "fit/2")) == ["a line", "and another"]
    store.change(ctx, one, lambda now: now.with_(status="waiting"))
    assert list(call("experiment logs", "fit", follow=True))[:3] == [
        "0001  alpha=1", "0001  code=0", "0002  alpha=1",
    ]  # fmt: skip
    assert list(call("experiment logs", "fit/4", lines=1)) == ["code=0"]
    assert list(call("experiment logs", "fit/4", stderr=True)) == ["oops"]
    with pytest.raises(Invalid, match="'x' is not the number of a task"):
        list(call("experiment logs", "fit/x"))


def test_fetch(call: Call, file: Path) -> None:
    call("experiment run", file, group="lab")
    place = file.parent / "out"
    call("experiment fetch", "fit", place)
    assert (place / "0004" / "stdout").read_text() == "alpha=2\ncode=0\n"
    with (place / "results.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["alpha"], row["found"]) for row in rows] == [("1", "1"), ("1", "1"), ("2", "2"), ("2", "2")]
    with pytest.raises(Conflict, match="has something in it"):
        call("experiment fetch", "fit", place)
    call("experiment fetch", "fit", place, overwrite=True)


def test_label_and_delete(call: Call, ctx: Context, file: Path) -> None:
    call("experiment run", file, group="lab")
    call("experiment label", ["fit"], set={"tier": "a"}, remove=["paper"])
    assert call("experiment info", "fit").labels == {"tier": "a"}
    folder = Path(call("experiment info", "fit").folder)
    assert folder.is_dir()
    call("experiment delete", label={"tier": "a"})
    assert not folder.exists()
    assert PretendEngine.calls[-1] == "delete"
    assert (store.experiments(ctx), ctx.catalog.count("task")) == ([], 0)
    with pytest.raises(NotFound):
        call("experiment info", "fit")
    assert call("experiment delete", ["fit"], missing_ok=True, dry_run=True).steps == ()


def test_an_upload_is_not_trusted(call: Call, file: Path, own_home: Path) -> None:
    sent = own_home / ".cloudmesh" / "uploads" / "x" / "abc"
    sent.parent.mkdir(parents=True)
    sent.write_text(FILE)
    with pytest.raises(Invalid, match="a file that is sent cannot name files"):
        call("experiment run", sent, group="lab")


def test_ten_thousand_tasks(call: Call, ctx: Context, file: Path) -> None:
    plan = call("experiment run", file, group="lab", repeats=5000, dry_run=True)
    assert isinstance(plan, Plan)
    from cloudms.engine import start

    operation: Operation = start(ctx, plan)
    assert operation.steps[0].target == "fit"
    assert call("experiment status", "fit")["tasks"] == {"waiting": 10_000}
    assert len(call("experiment results", "fit")) == 10_000
    (row,) = call("experiment results", "fit", stat=["median"])
    assert row["of"] == 10_000
    assert isinstance(call("experiment info", "fit"), Experiment)


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_at_a_terminal_ends_the_watching_only(
    call: Call, ctx: Context, file: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("cloudms.jobs.driving.subprocess.Popen", lambda argv, **_: begun.append(argv))
    call("experiment run", file, group="lab", detach=True)
    monkeypatch.setattr(ctx.clock, "sleep", lambda _seconds: ctx.stop())
    ctx.terminal = terminal
    with pytest.raises(Interrupted) as caught:
        list(call("experiment watch", "fit"))
    assert (caught.value.message == "fit goes on in the background") == terminal
    assert len(begun) == 1 + terminal
