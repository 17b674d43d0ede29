"""What an answer of EC2's query API means: the element names of each operation, and the members they become.

The table is compiled from botocore's own model of the service, so that a row has boto3's names and types; times are
RFC 3339 text as `describe.raw` writes those of boto3. The model has 4 MB, so the tables are kept in the cache.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cloudms import __version__, paths
from cloudms.errors import MissingExtra
from cloudms.record import Record

VERSION = "2016-11-15"
"""The version of the API whose answers the tables describe."""

TEXT, BOOL, INT, FLOAT, TIME, STRUCT, LIST = range(7)

_FORMAT = 2
"""Of the tables in the cache; it changes with them."""

Entry = tuple[str, int, Any, str]
"""Member, what it is, what is inside (a table; of a list the entry of its items), and the closing tag."""

Table = dict[str, Entry]
"""Entries by element name."""

_SCALARS = {"boolean": BOOL, "integer": INT, "long": INT, "float": FLOAT, "double": FLOAT, "timestamp": TIME}


class Shape(Record):
    """The answer of one operation: its `operation` as EC2 writes it, and the `table` below its root."""

    operation: str
    table: Any

    @property
    def root(self) -> str:
        """Return the name of the outermost element."""
        return f"{self.operation}Response"


def of(operations: tuple[str, ...]) -> dict[str, Shape]:
    """Return the shapes of answers by operation, such as DescribeImages; from the cache when it knows them.

    Raises: MissingExtra.
    """
    folder = _botocore()
    name = f"aws-{_FORMAT}-{__version__}-{_version(folder)}-{'-'.join(operations)}.json"
    with suppress(OSError, ValueError, TypeError):
        kept = json.loads((paths.cache() / name).read_text(encoding="utf-8"))
        return {operation: Shape(operation=operation, table=kept[operation]) for operation in operations}
    model = described(folder)
    found = {operation: compiled(model, operation) for operation in operations}
    with suppress(OSError, ValueError):  # a cache that cannot be written, or a table that holds itself
        _keep(name, json.dumps({operation: shape.table for operation, shape in found.items()}))
    return found


def _botocore() -> Path:
    """Return the folder of botocore, which is not imported. Raises: MissingExtra."""
    found = find_spec("botocore")
    if found is None or not found.origin:
        raise MissingExtra("aws", why="a cloud of kind aws")
    return Path(found.origin).parent


def _version(folder: Path) -> str:
    """Return botocore's version."""
    found = re.search(
        r"""^__version__ = ['"]([\w.+-]+)""", (folder / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else "unknown"


def described(folder: Path | None = None) -> dict[str, Any]:
    """Return the model of EC2 that botocore brings, of the version that is spoken. Raises: MissingExtra."""
    path = (folder or _botocore()) / "data" / "ec2" / VERSION / "service-2.json"
    body = path.read_bytes() if path.exists() else _unpacked(path.with_suffix(".json.gz"))
    found: dict[str, Any] = json.loads(body)
    return found


def _unpacked(path: Path) -> bytes:
    import gzip

    return gzip.decompress(path.read_bytes())


def _keep(name: str, text: str) -> None:
    """Write a file of the cache, whole or not at all, and forget those of other versions."""
    folder = paths.private(paths.cache())
    for old in folder.glob("aws-*.json"):
        if old.name.split("-")[1:4] != name.split("-")[1:4]:
            old.unlink(missing_ok=True)
    fresh = folder / f".{name}.{os.getpid()}"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(folder / name)


def compiled(model: Mapping[str, Any], operation: str) -> Shape:
    """Return the shape of an answer.

    Parameters: `model`, botocore's of EC2; `operation`, such as DescribeImages.
    """
    output = model["operations"][operation]["output"]
    return Shape(operation=operation, table=_members(output["shape"], model["shapes"], {}))


def _members(name: str, model: Mapping[str, Any], known: dict[str, Table]) -> Table:
    """Return the table of a structure; one that holds itself is the same table again."""
    if name not in known:
        table = known[name] = {}
        for member, refers in model[name]["members"].items():
            table[_element(refers, model, member)] = _entry(
                member, refers, model, known, _element(refers, model, member)
            )
    return known[name]


def _element(refers: Mapping[str, Any], model: Mapping[str, Any], otherwise: str) -> str:
    """Return the element of what is referred to: as it is called there, else by its shape, else as the member."""
    return str(refers.get("locationName") or model[refers["shape"]].get("locationName") or otherwise)


def _entry(
    member: str, refers: Mapping[str, Any], model: Mapping[str, Any], known: dict[str, Table], element: str
) -> Entry:
    name, close = str(refers["shape"]), f"/{element}>"
    shape = model[name]
    if shape["type"] == "structure":
        return member, STRUCT, _members(name, model, known), close
    if shape["type"] == "list":
        inside = shape["member"]
        item = _element(inside, model, "item")
        return member, LIST, (item, _entry(item, inside, model, known, item)), close
    return member, _SCALARS.get(shape["type"], TEXT), None, close
