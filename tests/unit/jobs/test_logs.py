"""What a task has printed: from its node while it runs, from this machine afterwards."""

from __future__ import annotations

import pytest

from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.jobs import store
from cloudms.jobs.ssh_engine import SshEngine

from .imagined import World
from .test_ssh_engine import Make, drive, lab, make, running, world

__all__ = ["lab", "make", "world"]


def test_a_task_that_has_ended_is_read_here(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    make(2)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine)
    assert "".join(engine.logs(ctx, store.task(ctx, "exp", 2))) == "value=0002.1\n"
    assert not "".join(engine.logs(ctx, store.task(ctx, "exp", 2), stderr=True))


def test_one_that_runs_is_read_on_its_node_so_far(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    make(3)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    ctx.clock.sleep(3)
    lines = "".join(engine.logs(ctx, store.task(ctx, "exp", 1))).splitlines()
    assert lines[:3] == ["0 é", "1 é", "2 é"]


def test_one_is_followed_to_its_end(ctx: Context, world: World, lab: list[str], make: Make) -> None:
    make(3)
    engine = SshEngine(world.remote)
    drive(ctx, world, engine=engine, until=running(3))
    heard = ""
    for piece in engine.logs(ctx, store.task(ctx, "exp", 1), follow=True):
        heard += piece
        engine.step(ctx, store.find(ctx, "exp"))  # as the manager does meanwhile
    assert heard.startswith("0 é\n1 é\n2 é\n3 é\n")


def test_one_that_has_not_begun_or_whose_node_is_silent_says_so(
    ctx: Context, world: World, lab: list[str], make: Make
) -> None:
    make(3)
    engine = SshEngine(world.remote)
    with pytest.raises(NotReady, match="exp/0001 has not begun"):
        list(engine.logs(ctx, store.task(ctx, "exp", 1)))
    drive(ctx, world, engine=engine, until=running(3))
    world.silent |= set(lab)
    with pytest.raises(NotReady, match="no route"):
        list(engine.logs(ctx, store.task(ctx, "exp", 1)))
