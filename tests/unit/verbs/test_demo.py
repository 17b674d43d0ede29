"""How the demo ends when a step fails or a person stops it."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.errors import CloudmsError, Interrupted, NotReady
from cloudms.verbs.demo import demo


class Steps:
    """Plays the commands that the demo runs: `code` of its steps, `left` of its clean-up, `busy` when stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code, self.left, self.busy = 0, 0, False
        self.told = 0
        self.cleaned: list[str] = []
        monkeypatch.setattr(subprocess, "Popen", lambda _line, **_facts: Step(self))
        monkeypatch.setattr(subprocess, "run", self.run)

    def run(self, line: list[str], **_facts: Any) -> subprocess.CompletedProcess[str]:
        self.cleaned.append(line[3])
        return subprocess.CompletedProcess(line, self.left)


class Step:
    """A process that prints nothing."""

    stdout = ()

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.returncode = steps.code

    def __enter__(self) -> Step:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    def wait(self, timeout: float | None = None) -> int:
        if self.steps.busy and not self.steps.told:
            raise KeyboardInterrupt if timeout is None else subprocess.TimeoutExpired("cms", timeout)
        return self.returncode

    def terminate(self) -> None:
        self.steps.told += 1


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def ended(ctx: Context) -> tuple[list[str], CloudmsError | None]:
    """Return what the demo showed, and the error it ended with."""
    lines: list[str] = []
    try:
        for line in demo(ctx, cloud="one"):
            lines.append(line)
    except CloudmsError as error:
        return lines, error
    return lines, None


def test_when_all_goes_well_nothing_is_cleaned_up(ctx: Context, steps: Steps) -> None:
    lines, error = ended(ctx)
    assert error is None
    assert sum(line.startswith("$ cms ") for line in lines) == 10
    assert steps.cleaned == []


def test_a_step_that_fails_ends_it_after_cleaning_up(ctx: Context, steps: Steps) -> None:
    steps.code = 5
    lines, error = ended(ctx)
    assert lines[-1] == "\nthe demo stops; what it made is deleted ..."
    assert isinstance(error, NotReady)
    assert error.message == "the demo ended early: cms vm boot exited with 5"
    assert steps.cleaned == ["vm", "sweep"]


def test_a_command_that_was_stopped_stops_the_demo(ctx: Context, steps: Steps) -> None:
    steps.code = 130
    _lines, error = ended(ctx)
    assert isinstance(error, Interrupted)
    assert error.message == "the demo was stopped; nothing of it is left"
    assert steps.cleaned == ["vm", "sweep"]


def test_a_command_that_does_not_stop_by_itself_is_told_once(ctx: Context, steps: Steps) -> None:
    steps.busy = True
    _lines, error = ended(ctx)
    assert isinstance(error, Interrupted)
    assert steps.told == 1
    assert steps.cleaned == ["vm", "sweep"]


def test_what_could_not_be_deleted_is_named(ctx: Context, steps: Steps) -> None:
    steps.code, steps.left = 130, 6
    _lines, error = ended(ctx)
    assert error is not None
    assert error.message == "the demo was stopped"
    assert error.hint.startswith("not all could be deleted: cms vm delete --label demo=")


def test_nobody_who_listens_any_more_leaves_nothing(ctx: Context, steps: Steps) -> None:
    shown = demo(ctx, cloud="one")
    next(shown)
    next(shown)
    shown.close()  # type: ignore[attr-defined]
    assert steps.cleaned == ["vm", "sweep"]
