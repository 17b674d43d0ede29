"""`cms group roll`: the members of a group renewed one after the other, with another image or flavor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Plan, Work, action, groups
from cloudms.engine.lacking import Wish, in_words, lacking
from cloudms.errors import Invalid, NotFound
from cloudms.model import Group, Step, Vm
from cloudms.scaling import store
from cloudms.scaling.members import outdated
from cloudms.scaling.turn import holder
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.group.look import OneGroup
from cloudms.verbs.vm.places import Place, places


@verb("group", "roll", changes=True, columns=("name", "image", "flavor"), example="cms group roll web --image micro")
def roll(
    ctx: Context,
    name: OneGroup,
    *,
    image: Annotated[str | None, Doc("image that its members are to have"), Names("image")] = None,
    flavor: Annotated[str | None, Doc("flavor that its members are to have"), Names("flavor")] = None,
    batch: Annotated[int, Doc("members renewed at a time")] = 1,
) -> Plan:
    """Let the controller renew the members of a group: a new one serves before an old one goes.

    The group never serves with fewer members than it has. Members that were added or adopted are left as they are. What
    cannot be booted stops it: the old ones stay, and it is tried again. `group watch` shows how far it is.
    """
    if not image and not flavor:
        raise Invalid("nothing says what members are to have", hint="--image NAME or --flavor NAME")
    if batch < 1:
        raise Invalid(f"--batch {batch} is no number of members", hint="1 is the default")
    known = groups.all_vms(ctx, fresh=False)
    group = groups.find(ctx, name, known)
    store.find(ctx, name)
    found = groups.members_of(group, known)
    clouds = ",".join(ctx.new_clouds(group.cloud))
    chosen = places(ctx, clouds, image or group.image, flavor or group.flavor, "")
    _refuse_lacking(ctx, chosen, image=image or "", flavor=flavor or "")
    wanted = {"image": chosen[0].image if image else "", "flavor": chosen[0].flavor if flavor else "", "batch": batch}
    old = [vm for vm in found if outdated(name, vm, wanted)]
    step = Step(action="group.roll", cloud="", target=name, params=wanted)
    notes = () if holder(ctx, name) else (f"nobody scales it yet: cms scaler run --group {name}",)
    like = " and ".join(f"{key} {wanted[key]}" for key in ("image", "flavor") if wanted[key])
    return Plan(
        verb="group roll", summary=f"renew {len(old)} of {len(found)} members of {name} with {like}", steps=(step,),
        notes=notes,
    )  # fmt: skip


def _refuse_lacking(ctx: Context, chosen: Sequence[Place], *, image: str, flavor: str) -> None:
    """Refuse what a cloud does not have, since members to come are like it, too. Raises: NotFound."""
    lost = lacking(ctx, {place.name: Wish(image=image, flavor=flavor, takes=place.flavor) for place in chosen})
    if lost:
        cloud, what = next(iter(lost.items()))
        hint = f"cms {what[0]} list --cloud {cloud}"
        raise NotFound(in_words(lost, {"image": image, "flavor": flavor}), hint=hint, details={"lacking": lost})


@action("group.roll")
def _roll(work: Work) -> Group:
    """Write down what members are to be like, for those that exist and for those to come."""
    ctx, name, wanted = work.ctx, work.step.target, dict(work.step.params)
    store.change(ctx, name, lambda each: each.with_(roll=wanted, wait=None), action="group.roll", text="asked for")
    fresh = {key: wanted[key] for key in ("image", "flavor") if wanted[key]}
    done = groups.change(ctx, name, lambda each: each.with_(**fresh), "image and flavor", work.operation)
    return groups.shown(done, (Vm.from_document(row.document) for row in ctx.catalog.find("vm")))
