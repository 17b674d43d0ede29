"""`cms scaler list`: which groups have a policy, and who scales them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.model import Noun
from cloudms.scaling import store
from cloudms.scaling.store import Pending, Scaler
from cloudms.scaling.turn import holder
from cloudms.verb import verb


class ScalerInfo(Noun):
    """A group that has a policy: its bounds, the metrics it goes by, its members by status, the `action` in flight.

    `process` scales it now (none: nobody does), and looked last at `seen` (epoch seconds).
    """

    kind: ClassVar[str] = "scaler"
    columns: ClassVar[tuple[str, ...]] = ("name", "min", "max", "metrics", "members", "action", "process", "seen")

    min: int = 0
    max: int = 0
    metrics: tuple[str, ...] = ()
    members: Mapping[str, int] = {}
    action: str = ""
    process: str = ""
    seen: float | None = None


@verb("scaler", "list", columns=ScalerInfo.columns, example="cms scaler list")
def list_(ctx: Context) -> Listing:
    """List the groups that have a policy, who scales them, and how their members are."""
    return Listing(items=tuple(_shown(ctx, each) for each in store.every(ctx)))


def _shown(ctx: Context, scaler: Scaler) -> ScalerInfo:
    spec = scaler.settings()
    pending = Pending.from_document(scaler.pending) if scaler.pending else None
    return ScalerInfo(
        name=scaler.name, min=spec.min, max=spec.max, metrics=tuple(spec.metrics),
        members=store.counted(list(scaler.roster().values())), action=pending.kind if pending else "",
        process=holder(ctx, scaler.name), seen=scaler.seen,
    )  # fmt: skip
