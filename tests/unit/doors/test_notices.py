"""What is said about the configuration beside results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.registry import Index
from tests.unit.doors.conftest import Cms

ODD = """\
cloudmesh:
  alias:
    toy: alone
  cloud:
    help:
      cm: {kind: fake, active: true}
    laptop:
      cm: {kind: fake, actve: true}
"""


@pytest.fixture
def configure(own_home: Path) -> Callable[[str], Path]:
    """Return a function that writes the configuration."""

    def write(text: str) -> Path:
        folder = own_home / ".cloudmesh"
        folder.mkdir(exist_ok=True)
        file = folder / "cloudmesh.yaml"
        file.write_text(text)
        file.chmod(0o600)
        return file

    return write


def test_what_is_odd_is_said_once_per_state_of_the_file(cms: Cms, configure: Callable[[str], Path]) -> None:
    configure(ODD)
    assert cms("laptop", "toy", "data", "-q").err == ""
    first = cms("laptop", "toy", "data").err
    assert "actve" in first
    assert "the alias 'toy' is a word of cms" in first
    assert "--cloud help" in first
    assert all(line.startswith("warning: ") for line in first.splitlines())
    assert cms("laptop", "toy", "data").err == ""
    configure(ODD + "  nonsense: 1\n")
    assert "actve" in cms("laptop", "toy", "data").err


def test_many_are_counted(cms: Cms, configure: Callable[[str], Path]) -> None:
    configure("cloudmesh:\n  cloud:\n    laptop:\n      cm: {kind: fake, a1: 1, a2: 1, a3: 1, a4: 1, a5: 1}\n")
    lines = cms("laptop", "toy", "data").err.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("warning: 2 more")


def test_a_command_that_needs_no_configuration_says_nothing(cms: Cms, configure: Callable[[str], Path]) -> None:
    configure(ODD)
    assert cms("toy", "data").err == ""


def test_a_broken_plug_in_is_named(
    cms: Cms, configure: Callable[[str], Path], index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("cloudmesh:\n  cloud:\n    laptop:\n      cm: {kind: fake}\n")
    monkeypatch.setattr(registry, "_index", index.with_(broken={"moon": "ImportError: no cheese"}))
    for _ in range(2):
        assert cms("laptop", "toy", "data").err == "warning: the plug-in 'moon' is broken: ImportError: no cheese\n"


def test_a_broken_file_is_told_once_and_by_the_command(cms: Cms, configure: Callable[[str], Path]) -> None:
    configure("cloudmesh: [\n")
    ran = cms("laptop", "toy", "data")
    assert ran.code == 2
    assert ran.err.count("cloudmesh.yaml") == 1
    assert cms("toy", "data").code == 0
