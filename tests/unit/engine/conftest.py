"""A whole house in memory: a context over the fake cloud and the catalog in memory; its clock moves when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.catalog.memory import MemoryCatalog
from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.model import Operation
from tests.unit.calling import Call, calling

CONFIG = """\
cloudmesh:
  profile: {user: alice}
  default: {cloud: first}
  cloud:
    first:
      cm: {active: true, kind: fake}
      default: {image: micro, flavor: small}
    local:
      cm: {active: false, kind: fake}
    second:
      cm: {active: true, kind: fake}
      default: {image: debian}
      refuse: {batch: it makes one VM at a time}
"""


@pytest.fixture
def ctx(own_home: Path, clock: ManualClock) -> Context:
    """Return a context with two fake clouds."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    return Context(catalog=MemoryCatalog(), clock=clock)


@pytest.fixture
def call(ctx: Context) -> Call:
    """Return a function that calls a verb by its words and carries out its plan."""
    return calling(ctx)


def failures(operation: Operation) -> list[str]:
    """Return the error code of every failed step."""
    return [str(step.error["code"]) for step in operation.steps if step.error]
