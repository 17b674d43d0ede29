"""What several changes at a time share, and what each has of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import Interrupted
from cloudms.guards import timings, unguarded


@pytest.fixture
def trunk(own_home: Path) -> Context:
    """Return a context with one pretend cloud."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {cloud: {near: {cm: {kind: fake, active: true}}}}\n")
    (folder / "cloudmesh.yaml").chmod(0o600)
    return Context()


def test_branches_share_what_is_open(trunk: Context) -> None:
    branch, other = trunk.branch(), trunk.branch().branch()
    assert isinstance(branch.cloud("near"), FakeCloud)
    assert unguarded(branch.cloud("near")) is unguarded(other.cloud("near")) is unguarded(trunk.cloud("near"))
    assert branch.cloud("near") is branch.cloud("near")
    assert other.catalog is branch.catalog is trunk.catalog
    branch.cloud("near").reach()
    assert timings(trunk.cloud("near"))["reach"].tries == 1
    trunk.close()


def test_each_is_stopped_and_heard_on_its_own(trunk: Context) -> None:
    told: list[str] = []
    first, second = trunk.branch(), trunk.branch()
    second.progress = lambda target, text: told.append(f"{target}: {text}")
    for context in (first, second):
        context.cloud("near")
    first.stop()
    with pytest.raises(Interrupted):
        vars(first.cloud("near"))["_pause"](0.0)
    vars(second.cloud("near"))["_pause"](0.0)
    vars(second.cloud("near"))["_report"]("trying again")
    assert told == ["near: trying again"]
    assert not trunk.stopping.is_set()
    trunk.close()


def test_a_branch_needs_no_catalog(trunk: Context, own_home: Path) -> None:
    (own_home / ".cloudmesh" / "cloudmesh.yaml").write_text("cloudmesh: [")
    assert trunk.branch().actor == trunk.actor


def test_a_pause_ends_when_its_time_is_over_and_never_waits_long_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = Context()
    waits: list[float] = []
    now = [100.0]

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        now[0] += seconds
        return False

    monkeypatch.setattr(ctx.stopping, "wait", wait)
    monkeypatch.setattr(ctx.clock, "monotonic", lambda: now[0])
    ctx.pause(2.5)
    ctx.pause(0.0)
    assert waits == [1.0, 1.0, 0.5, 0.0]
