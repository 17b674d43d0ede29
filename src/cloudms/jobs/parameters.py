"""Parameters of an experiment: a grid, a CSV file or a list of combinations, and the tasks that come of them."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms.errors import Invalid
from cloudms.jobs.fields import Field, spelled
from cloudms.jobs.spec import Spec
from cloudms.names import nearest
from cloudms.record import Record

MOST = 100_000
"""Tasks that one experiment may have."""
_LONGEST = 32_768
"""Characters of one value: what a shell variable may hold everywhere."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED = frozenset(
    ("PATH", "HOME", "IFS", "ENV", "SHELL", "USER", "LOGNAME", "PWD", "OLDPWD", "TERM", "PS1", "PS2", "PS4", "UID",
     "LD_PRELOAD", "LD_LIBRARY_PATH", "OPTIND", "PPID", "TMPDIR", "task", "repeat", "number")
)  # fmt: skip
"""What a parameter cannot be called, since the shell or every task has it. PATH may be set in `environment`."""
_SECRET = re.compile(r"(?i)(^|_)(password|passwd|passphrase|secret|token|api_?key|private_?key|credentials?)(_|$)")

Grid = dict[str, tuple[Any, ...]]
Rows = tuple[dict[str, Any], ...]


class Case(Record):
    """One task to be: its `number` from 1, the parameters it has, and which of the `repeats` it is, from 1."""

    number: int
    params: Mapping[str, Any] = {}
    repeat: int = 1


def tasks_of(spec: Spec) -> Iterator[Case]:
    """Yield the tasks of an experiment: every combination in the order of the file, its repeats one after another."""
    numbers = itertools.count(1)
    for params in combinations(spec):
        for repeat in range(1, spec.repeats + 1):
            yield Case.of_fields(number=next(numbers), params=params, repeat=repeat)


def combinations(spec: Spec) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each combination, the last parameter changing fastest."""
    if spec.rows:
        yield from (dict(row) for row in spec.rows)
        return
    for values in itertools.product(*spec.grid.values()):
        yield dict(zip(spec.grid, values, strict=True))


def count(spec: Spec) -> int:
    """Return how many tasks there are."""
    return _count(spec.grid, spec.rows) * spec.repeats


def _count(grid: Mapping[str, Sequence[Any]], rows: Sequence[Any]) -> int:
    return len(rows) if rows else math.prod(len(values) for values in grid.values())


def read(field: Field) -> tuple[Grid, Rows, str]:
    """Return the grid, or the rows and the CSV file they came from. Raises: ConfigError."""
    if field.value is None:
        return {}, (), ""
    if isinstance(field.value, list):
        return {}, _listed(field), ""
    if isinstance(field.value, Mapping) and set(field.value) == {"csv"} and isinstance(field.value["csv"], str):
        path = field.field("csv").local()
        return {}, _of_csv(field.field("csv"), path), str(path)
    return {name: _choices(each, name) for name, each in field.entries()}, (), ""


def check_count(field: Field, grid: Grid, rows: Rows, repeats: int) -> None:
    """Refuse more tasks than one experiment may have. Raises: ConfigError."""
    total = _count(grid, rows) * repeats
    if total > MOST:
        raise field.wrong(f"these are {total} tasks; an experiment has at most {MOST}", "split it into several")


def check_name(field: Field, name: str, what: str) -> None:
    """Refuse a name that is no variable of the shell, or one that a task needs itself. Raises: ConfigError."""
    if not _NAME.fullmatch(name):
        better = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "x"
        raise field.wrong(f"{name[:60]!r} cannot be the name of {what}", f"letters, digits and _, as in {better}")
    if (what != "a variable" and name in RESERVED) or name.startswith("CMS_"):
        raise field.wrong(f"{name} is the name of something else in every task", f"call it my_{name.lower()}")


def sounds_secret(name: str) -> bool:
    """Whether a variable of such a name holds a secret."""
    return bool(_SECRET.search(name))


def _choices(field: Field, name: str) -> tuple[Any, ...]:
    check_name(field, name, "a parameter")
    found = tuple(_checked(each) for each in field.items())
    if not found:
        raise field.wrong(f"the parameter '{name}' has no values", f"{name}: [1, 2, 3]")
    seen: set[str] = set()
    for value in found:
        if repr(value) in seen:
            why = f"the parameter '{name}' has the value {spelled(value)[:60]} twice"
            raise field.wrong(why, "use repeats: to run one several times")
        seen.add(repr(value))
    return found


def _checked(field: Field) -> Any:
    """Return a value that can be handed to a command. Raises: ConfigError."""
    text = field.word()
    if "\0" in text or len(text) > _LONGEST:
        raise field.wrong(f"a value of {field.name} has a null character or more than {_LONGEST}", "put it into a file")
    return field.value


def _listed(field: Field) -> Rows:
    """Return combinations that are given one by one; all must name the same parameters."""
    rows = []
    for item in field.items():
        row = {}
        for name, each in item.entries():
            check_name(each, name, "a parameter")
            row[name] = _checked(each)
        rows.append(row)
        if set(row) != set(rows[0]) or not row:
            missing = ", ".join(sorted(set(row) ^ set(rows[0]))) or "every parameter"
            raise item.wrong(f"an item of {field.name} lacks what another has: {missing}", "give each the same names")
    if not rows:
        raise field.wrong(f"{field.name} is an empty list: there would be no task", "remove it to run one task")
    return tuple({name: row[name] for name in rows[0]} for row in rows)


def _of_csv(field: Field, path: Path) -> Rows:
    """Return the rows of a CSV file whose first line names the parameters; values are the text that stands there."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            head = [name.strip() for name in next(lines, [])]
            _check_head(field, path, head)
            rows = tuple(_row(field, path, head, cells, lines.line_num) for cells in lines if cells)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise field.wrong(f"{path} cannot be read as CSV: {problem}", "save it as CSV in UTF-8") from None
    if not rows:
        raise field.wrong(f"{path} has no line below its first: there would be no task", "write one per combination")
    return rows


def _check_head(field: Field, path: Path, head: list[str]) -> None:
    for name in head or [""]:
        check_name(field, name, f"a parameter (first line of {path})")
        if head.count(name) > 1:
            raise field.wrong(f"{path}:1: the column '{name}' stands twice", "give each column a name of its own")


def _row(field: Field, path: Path, head: list[str], cells: list[str], line: int) -> dict[str, Any]:
    if len(cells) != len(head):
        raise field.wrong(f"{path}:{line}: {len(cells)} cells below {len(head)} names", "quote a cell with commas")
    return dict(zip(head, (cell.strip() for cell in cells), strict=True))


def chosen(spec: Spec, given: Mapping[str, str]) -> Spec:
    """Return a specification with parameters set as `--set name=value` says. Raises: Invalid (no such parameter)."""
    for name in given:
        if name not in spec.parameters:
            close = nearest(name, spec.parameters)
            known = ", ".join(spec.parameters) or "none"
            raise Invalid(
                f"the experiment has no parameter '{name[:60]}'",
                hint=f"did you mean '{close}'?" if close else f"its parameters: {known}",
            )
    return spec.with_set({name: number(value) for name, value in given.items()}) if given else spec


def number(text: str) -> Any:
    """Return a text as the number that it is written as, or itself: 0.10 stays text, since it reads back as 0.1."""
    for kind in (int, float):
        try:
            if str(kind(text)) == text and math.isfinite(float(text)):
                return kind(text)
        except (ValueError, OverflowError):
            continue
    return text
