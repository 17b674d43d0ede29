"""A whole house in memory: a context over the fake cloud and the catalog in memory; its clock moves when told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudms import registry
from cloudms.catalog.memory import MemoryCatalog
from cloudms.clock import ManualClock
from cloudms.context import Context
from cloudms.engine import Plan, run
from cloudms.model import Operation

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
"""


@pytest.fixture
def ctx(own_home: Path, clock: ManualClock) -> Context:
    """Return a context with two fake clouds."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    return Context(catalog=MemoryCatalog(), clock=clock)


Call = Callable[..., Any]


@pytest.fixture
def call(ctx: Context) -> Call:
    """Return a function that calls a verb by its words and carries out its plan."""

    def do(words: str, *args: Any, dry_run: bool = False, **options: Any) -> Any:
        entry = registry.index().exact(words.split())
        assert entry, words
        result = entry.load().function(ctx, *args, **options)
        return run(ctx, result) if isinstance(result, Plan) and not dry_run else result

    return do


def failures(operation: Operation) -> list[str]:
    """Return the error code of every failed step."""
    return [str(step.error["code"]) for step in operation.steps if step.error]
