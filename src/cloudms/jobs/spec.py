"""What an experiment is asked to be: plain frozen data, checked by `jobs.reading`, kept in the catalog as a document.

Everything that an engine needs stands here and nothing else does: no path is relative to a folder of the person, and
secrets are references (`env:NAME`, `file:PATH`, `keyring:SERVICE/USER`), which are followed when a task is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from cloudms.record import Record


class Transfer(Record):
    """A file or folder that goes to the nodes: `source`, its absolute path on this machine, and `target`, its path
    below the folder it goes to.
    """

    source: str
    target: str


class Git(Record):
    """A repository to check out: `url`, the branch, tag or commit `ref` (empty: the default branch), and where to."""

    url: str
    ref: str = ""
    into: str = ""


class Archive(Record):
    """A tar or zip archive to unpack: `source`, a URL or an absolute path on this machine, into which folder."""

    source: str
    into: str = ""


class Setup(Record):
    """What every node gets once, before its first task: system `packages`, Python `requirements` (one per line, as pip
    reads them), repositories, archives and files beside them, and last `commands`.
    """

    packages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    git: tuple[Git, ...] = ()
    archives: tuple[Archive, ...] = ()
    files: tuple[Transfer, ...] = ()
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Accept plain JSON values for the records and tuples."""
        own = self.__dict__
        for name in ("packages", "requirements", "commands"):
            own[name] = tuple(own[name])
        own["git"] = tuple(_record(Git, each) for each in self.git)
        own["archives"] = tuple(_record(Archive, each) for each in self.archives)
        own["files"] = tuple(_record(Transfer, each) for each in self.files)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not any(self.__dict__.values())


class Boot(Record):
    """Nodes to boot for the experiment alone: how many, from what and where (empty: the defaults of the cloud).

    `keep` leaves them when it has ended; otherwise they are deleted then.
    """

    size: int
    cloud: str = ""
    image: str = ""
    flavor: str = ""
    keep: bool = False


class Value(Record):
    """How a value of a task is found: in its `stdout`, its `stderr` or the output file named by `source`.

    `regex` takes the first group of the last match (the whole match when it has no group); `json` follows the keys of a
    JSON document, dots between them.
    """

    name: str
    source: str = "stdout"
    regex: str = ""
    json: str = ""


class Spec(Record):
    """An experiment as it was asked for.

    `grid` are the values of each parameter, of which every combination is run; `rows` are combinations given one by
    one, `csv` the file they came from (its absolute path); `repeats` how often each is run. `retries` is how often a
    task whose command failed is tried again, `moves` how often one whose node was lost begins anew elsewhere;
    `timeout` the seconds an attempt may take (0: no limit); `slots` how many tasks a node runs at once.
    `environment` are variables of every task, values may be references to secrets. `boot` are nodes of its own, or
    `group` names those it runs on.
    """

    name: str
    description: str = ""
    commands: tuple[str, ...] = ()
    setup: Setup = Setup()
    inputs: tuple[Transfer, ...] = ()
    outputs: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    grid: Mapping[str, tuple[Any, ...]] = {}
    rows: tuple[Mapping[str, Any], ...] = ()
    csv: str = ""
    repeats: int = 1
    retries: int = 0
    moves: int = 3
    timeout: float = 0.0
    slots: int = 1
    engine: str = "ssh"
    group: str = ""
    boot: Boot | None = None
    values: tuple[Value, ...] = ()
    labels: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        """Accept plain JSON values for the records and tuples."""
        own = self.__dict__
        own["commands"], own["outputs"] = tuple(self.commands), tuple(self.outputs)
        own["setup"] = _record(Setup, self.setup)
        own["inputs"] = tuple(_record(Transfer, each) for each in self.inputs)
        own["values"] = tuple(_record(Value, each) for each in self.values)
        own["grid"] = {name: tuple(values) for name, values in self.grid.items()}
        own["rows"] = tuple(dict(row) for row in self.rows)
        own["boot"] = _record(Boot, self.boot) if self.boot else None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters, in the order of the file."""
        return tuple(self.rows[0]) if self.rows else tuple(self.grid)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        document = super().to_document()
        document["grid"] = {name: list(values) for name, values in self.grid.items()}
        return document

    def with_set(self, chosen: Mapping[str, Any]) -> Self:
        """Return it with parameters set to one value each: a fixed grid entry, or a column of every row."""
        if self.rows:
            return self.with_(rows=tuple({**row, **chosen} for row in self.rows))
        return self.with_(grid={**self.grid, **{name: (value,) for name, value in chosen.items()}})


def _record(cls: Any, value: Any) -> Any:
    return value if isinstance(value, cls) else cls.from_document(value)
