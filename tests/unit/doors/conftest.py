"""A command line with toy verbs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cloudms import registry
from cloudms.doors.cli import main
from cloudms.record import Record
from cloudms.registry import FAMILIES, Index, VerbEntry
from cloudms.verb import verbs_of
from tests.unit.doors import toys


class Ran(Record):
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return stdout as data."""
        return json.loads(self.out)

    @property
    def complaints(self) -> list[Any]:
        """Return stderr as data, an object per line."""
        return [json.loads(line) for line in self.err.splitlines()]


_REAL: list[Index] = []


def real(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Put the index of the real verbs in its place, which is made once for all tests."""
    if not _REAL:
        monkeypatch.setattr(registry, "_index", None)
        _REAL.append(registry.index())
    monkeypatch.setattr(registry, "_index", _REAL[0])
    return _REAL[0]


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Put the toy verbs in the place of the real ones."""
    entries = tuple(
        VerbEntry(
            path=v.path, module=toys.__name__, summary=v.summary, aliases=v.aliases, doors=v.doors, changes=v.changes
        )
        for v in verbs_of(toys)
    )
    families = {group: dict(members) for group, members in FAMILIES.items()}
    found = Index(stamp="toys", verbs=entries, texts={"toy": "Things to play with"}, families=families)
    monkeypatch.setattr(registry, "_index", found)
    return found


@pytest.fixture
def cms(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return a function that carries out a command line."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = main(words)
        shown = capsys.readouterr()
        return Ran(code=code, out=shown.out, err=shown.err)

    return run


Cms = Callable[..., Ran]
