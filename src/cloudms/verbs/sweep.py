"""Find what is unfinished, orphaned or expired, and put it right."""

from __future__ import annotations

from typing import Annotated

from cloudms import janitor
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.janitor import Finding
from cloudms.model import Noun, Step
from cloudms.verb import Doc, verb
from cloudms.verbs.lists import CloudName


@verb("sweep", changes=True, columns=Finding.columns, example="cms sweep --apply --yes")
def sweep(
    ctx: Context,
    *,
    apply: Annotated[bool, Doc("act; otherwise the findings are only listed")] = False,
    all_catalogs: Annotated[
        bool, Doc("also list your VMs that other catalogs made, and delete those whose lease has ended")
    ] = False,
    cloud: CloudName = None,
) -> Plan | Listing:
    """List what is unfinished, orphaned or expired, and what it costs; with --apply, put it right.

    Only what was made with this catalog is ever removed; protected and adopted VMs are left alone. `--all-catalogs` is
    for VMs whose own catalog is lost.
    """
    found = janitor.findings(ctx, ctx.cloud_names(cloud or ""), strays=all_catalogs)
    if not apply:
        return Listing(items=tuple(found))
    steps = tuple(
        Step(
            action="sweep",
            cloud=finding.cloud,
            target=finding.name,
            params={"what": finding.what, "key": finding.key, "id": finding.id, "deed": finding.deed},
        )
        for finding in found
        if finding.what != janitor.STRAY
    )
    deleting = sum(finding.what in (janitor.EXPIRED, janitor.UNFINISHED) for finding in found)
    return Plan(
        verb="sweep",
        summary=f"put {len(steps)} findings right" if steps else "nothing to sweep",
        steps=steps,
        question=f"Put {len(steps)} findings right?" if deleting else "",
    )


@action("sweep")
def _sweep(work: Work) -> Noun:
    step = work.step
    params = step.params
    text = janitor.settle(
        work.ctx, params["what"], step.target, step.cloud, params["key"], params["id"], params.get("deed", "")
    )
    return Finding(name=step.target, cloud=step.cloud, what=step.params["what"], deed=text)
