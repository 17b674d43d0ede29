"""A shell with toy verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cloudms.doors.cli import main
from cloudms.doors.options import Options
from cloudms.doors.shell.builtins import BUILTINS
from cloudms.doors.shell.shell import Shell
from tests.unit.doors.conftest import Cms, Ran

CONFIG = """\
cloudmesh:
  alias:
    mine: near toy list
  cloud:
    near: {cm: {kind: fake, active: true}}
    far: {cm: {kind: fake, active: true}}
"""


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Return a shell that is closed in the end."""
    made = Shell(Options(), builtins=BUILTINS)
    yield made
    made.close()


@pytest.fixture
def typed(shell: Shell, capfd: pytest.CaptureFixture[str]) -> Callable[[str], Ran]:
    """Return a function that carries out a line."""

    def run(text: str) -> Ran:
        capfd.readouterr()
        code = shell.line(text)
        shown = capfd.readouterr()
        return Ran(code=code, out=shown.out, err=shown.err)

    return run


@pytest.fixture
def cms(capfd: pytest.CaptureFixture[str]) -> Cms:
    """Return a function that carries out a command line; what programs print counts."""

    def run(*words: str) -> Ran:
        capfd.readouterr()
        code = main(words)
        shown = capfd.readouterr()
        return Ran(code=code, out=shown.out, err=shown.err)

    return run


Typed = Callable[[str], Ran]
