"""One table of what came of an experiment: a row per task with its parameters and values, or per group of tasks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cloudms.errors import Invalid
from cloudms.model import Experiment, Task
from cloudms.names import nearest

STATS: Mapping[str, Callable[[Sequence[float]], float | None]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "min": min,
    "max": max,
    "std": lambda numbers: statistics.stdev(numbers) if len(numbers) > 1 else None,
    "sum": sum,
}
"""What several values become; `std` is that of a sample, none of a single value."""

FACTS = ("status", "exit", "seconds", "node", "attempt")
"""What every row has beside parameters and values."""

Row = dict[str, Any]


def columns(experiment: Experiment, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the columns of the table: task, parameters, repeat, values, and what every row has."""
    params = list(dict.fromkeys(name for task in tasks[:1] for name in task.params))
    repeats = ["repeat"] if any(task.repeat > 1 for task in tasks) else []
    names = ["task", *params, *repeats, *_values(experiment), *FACTS]
    return tuple(dict.fromkeys(names))


def rows(experiment: Experiment, tasks: Iterable[Task]) -> list[Row]:
    """Return a row for every task; what is not there is None. A value with the name of a parameter comes first."""
    named = _values(experiment)
    return [
        {
            "task": task.number,
            "repeat": task.repeat,
            **{name: getattr(task, name) for name in FACTS},
            "seconds": None if task.seconds is None else round(task.seconds, 2),
            **task.params,
            **{name: task.values.get(name) for name in named},
        }
        for task in tasks
    ]


def _values(experiment: Experiment) -> list[str]:
    return [str(value["name"]) for value in experiment.spec.get("values", ())]


def grouped(
    experiment: Experiment, tasks: Sequence[Task], by: Sequence[str], stats: Sequence[str]
) -> tuple[list[Row], tuple[str, ...]]:
    """Return a row for each combination of the parameters `by`, and the columns.

    Each value and the seconds become one column per statistic (`error_mean`) over those tasks that are done and have a
    number there; `n` is how many are done, `of` how many there are. Raises: Invalid (no such parameter).
    """
    check_by(tasks, by)
    alike: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        alike.setdefault(tuple(repr(task.params[name]) for name in by), []).append(task)
    names = [*_values(experiment), "seconds"]
    found = [_row(members, by, names, stats) for members in alike.values()]
    return found, (*by, "n", "of", *(f"{name}_{stat}" for name in names for stat in stats))


def check_by(tasks: Sequence[Task], by: Sequence[str]) -> None:
    """Refuse to group by what is no parameter. Raises: Invalid."""
    known = list(tasks[0].params) if tasks else []
    for name in by:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean '{close}'?" if close else f"parameters: {', '.join(known) or 'none'}"
            raise Invalid(f"'{name[:60]}' is no parameter of the experiment", hint=hint)


def _row(tasks: Sequence[Task], by: Sequence[str], names: Sequence[str], stats: Sequence[str]) -> Row:
    done = [task for task in tasks if task.status == "done"]
    row: Row = {**{name: tasks[0].params[name] for name in by}, "n": len(done), "of": len(tasks)}
    for name in names:
        numbers = [number for task in done if (number := _number(task, name)) is not None]
        for stat in stats:
            row[f"{name}_{stat}"] = STATS[stat](numbers) if numbers else None
    return row


def _number(task: Task, name: str) -> float | None:
    value = task.seconds if name == "seconds" and name not in task.values else task.values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
