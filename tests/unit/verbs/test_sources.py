"""What metric sources measure: a program's number, the tasks of an experiment, what guests say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.context import Context
from cloudms.errors import CloudmsError, Invalid, NotFound, NotReady, Timeout
from cloudms.jobs import store
from cloudms.jobs.base import ENDED
from cloudms.model import Experiment, Task
from cloudms.scaling.reading import Section
from cloudms.scaling.sources import ssh
from cloudms.scaling.sources.base import Source, View, gathered
from cloudms.scaling.sources.command import CommandSource
from cloudms.scaling.sources.experiment import ExperimentSource


@pytest.fixture
def view(ctx: Context) -> View:
    """Return what sources of a group without members may look at."""
    return View(ctx, "web", [])


def values(source: Source, view: View) -> list[tuple[str, float, str, float]]:
    return [(each.metric, each.value, each.source, each.time - view.now) for each in source.samples(view)]


@pytest.mark.parametrize(
    ("settings", "metric", "value"),
    [
        ({"run": "echo 3.5"}, "command", 3.5),
        ({"run": ["printf", "%s\\n%s\\n\\n", "first", " -7e2 "]}, "command", -700.0),
        ({"run": "sh -c 'echo ${#CMS_GROUP}'", "as": "queue"}, "queue", 3.0),
        ({"run": ["sh", "-c", "echo 1 2; echo 4"], "as": "latency"}, "latency", 4.0),
    ],
)
def test_the_last_line_of_a_program_is_its_number(
    view: View, settings: dict[str, Any], metric: str, value: float
) -> None:
    assert values(CommandSource(Section(settings)), view) == [(metric, value, "command", 0.0)]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"run": "echo many"}, Invalid, "echo printed 'many', which is no number"),
        ({"run": "true"}, Invalid, "true printed '', which is no number"),
        ({"run": "sh -c 'echo 3; echo gone >&2; exit 4'"}, NotReady, "sh exited with 4: gone"),
        ({"run": "/nowhere/queue"}, NotReady, "cannot be started"),
        ({"run": "sleep 30", "timeout": "0.1s"}, Timeout, "sleep did not end within 0.1 s"),
        ({"run": "echo $HOME `id` 3 ; rm x"}, Invalid, r"printed '.HOME `id` 3 ; rm x'"),
    ],
)
def test_a_program_without_a_number_is_silence_with_its_reason(
    view: View, settings: dict[str, Any], error: type[CloudmsError], message: str
) -> None:
    source = CommandSource(Section(settings))
    with pytest.raises(error, match=message):
        source.samples(view)
    samples, problems = gathered([source], view)
    assert samples == []
    assert len(problems) == 1
    assert problems[0].startswith("command: ")


@pytest.mark.parametrize("wrong", ["", "   ", "echo 'open", [], {"a": 1}])
def test_what_is_no_program_is_refused(wrong: Any) -> None:
    with pytest.raises(Invalid):
        CommandSource(Section({"run": wrong}))


def test_tasks_that_have_not_ended_or_only_those_that_wait(ctx: Context, view: View) -> None:
    states = ["waiting", "waiting", "waiting", "running", *ENDED]
    tasks = [
        Task(name=f"fit/{number}", experiment="fit", number=number, status=status)
        for number, status in enumerate(states, 1)
    ]
    assert store.create(ctx, Experiment(name="fit", id="1"), tasks)
    assert values(ExperimentSource(Section({"name": "fit"})), view) == [("tasks", 4.0, "experiment", 0.0)]
    waiting = ExperimentSource(Section({"name": "fit", "what": "waiting"}))
    assert values(waiting, view) == [("tasks", 3.0, "experiment", 0.0)]
    with pytest.raises(NotFound, match="other"):
        ExperimentSource(Section({"name": "other"})).samples(view)


PROC = "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\nMemTotal:  1000 kB\nMemAvailable:  {free} kB\n"


@pytest.mark.parametrize(
    ("text", "times", "memory"),
    [
        (PROC.format(busy=30, idle=70, free=250), (30.0, 100.0), 75.0),
        ("cpu  10 1 2 80 5 1 1 0 3 0\n", (15.0, 100.0), None),
        ("cpu0 1 2 3 4 5\nMemTotal: x kB\nMemAvailable: 3 kB\n", None, None),
        ("cpu 1 2\nMemTotal: 0 kB\nMemAvailable: 0 kB\n", None, None),
        ("", None, None),
    ],
)
def test_what_a_guest_says_of_itself(text: str, times: Any, memory: Any) -> None:
    assert ssh.times(text) == times
    assert ssh.memory(text) == memory
