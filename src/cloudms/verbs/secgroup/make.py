"""`cms secgroup create` and `delete`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Locations, SecGroups, require
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, things
from cloudms.engine.browse import browse, warn
from cloudms.engine.labels import expanded
from cloudms.engine.reserve import new_token
from cloudms.errors import Conflict, Exists, NotFound
from cloudms.model import Noun, Rule, SecGroup, Step
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.lists import CloudName
from cloudms.verbs.secgroup.look import GroupNames, chosen_groups, groups_of, one_group

_PATIENCE_S, _PAUSE_S = 30.0, 0.2
"""Seconds that a group waits for others that name it, and between two tries."""


@verb("secgroup", "create", changes=True, aliases=["add"], columns=("name", "cloud", "id", "region", "description"),
      example="cms secgroup create web --description 'what everybody may see'")  # fmt: skip
def create(
    ctx: Context,
    name: Annotated[str, Doc("name of the security group")],
    *,
    description: Annotated[str | None, Doc("what it is for")] = None,
    cloud: Annotated[str | None, Doc("cloud to make it on; the default cloud otherwise"), Names("cloud")] = None,
    region: Annotated[str | None, Doc("region of its VMs (cms location list)"), Names("location")] = None,
) -> Plan:
    """Make a security group that lets nothing in; `secgroup rule add` opens it."""
    where = ctx.default_cloud(cloud or "")
    things.able(ctx, where, SecGroups)
    if region:
        require(ctx.cloud(where), Locations)
    _check_free(ctx, where, naming.valid(name), region or "")
    params = {"token": new_token(ctx), "description": description or "", "region": region or ""}
    return Plan(
        verb="secgroup create",
        summary=f"make the security group {name} on {where}",
        steps=(Step(action="secgroup.create", cloud=where, target=name, params=params),),
    )


def _check_free(ctx: Context, cloud: str, name: str, region: str) -> None:
    """Refuse a name that the cloud, or a region of it that was named, has already. Raises: Exists."""
    listing = browse(ctx, "secgroup", groups_of, cloud=cloud, role=SecGroups, refresh=True)
    warn(ctx, listing)
    for group in listing.items:
        if group.name == name and (not region or group.region in ("", region)):
            hint = "choose another name, or say where with --region" if group.region else "choose another name"
            raise Exists(f"cloud '{cloud}' has a security group '{name}' ({group.id or 'being made'})", hint=hint)


def _asked(ctx: Context, step: Step) -> SecGroup:
    """Return the row of a group that is being asked for."""
    return SecGroup(
        name=step.target, cloud=step.cloud, token=step.params["token"], description=step.params["description"],
        region=step.params["region"], owner=ctx.owner, fetched=ctx.clock.now(),
    )  # fmt: skip


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    for step in steps:
        things.ask(ctx, _asked(ctx, step), step.action, "asked for")
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    things.forget(ctx, _asked(ctx, step), step.action, "not begun")


@action("secgroup.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Noun:
    """Create the group of a step, or find the one an earlier attempt created."""
    name, params = work.step.target, work.step.params
    return things.made(
        work,
        _asked(work.ctx, work.step),
        lambda cloud: cloud.create_secgroup(name, params["description"], params["token"], params["region"]),
        lambda _made: "created",
    )


@verb("secgroup", "delete", changes=True, columns=("name", "cloud", "id"), example="cms secgroup delete web --yes")
def delete(
    ctx: Context,
    names: GroupNames,
    *,
    cloud: CloudName = None,
    missing_ok: Annotated[bool, Doc("succeed when a group of that name does not exist")] = False,
) -> Plan:
    """Delete security groups; one that VMs are in is refused."""
    wanted = [name for name in expanded(names) if not missing_ok or _exists(ctx, name, cloud)]
    groups = chosen_groups(ctx, wanted, cloud) if wanted else []
    groups = [
        things.current(ctx, group, groups_of) or group if group.vms or not group.id else group for group in groups
    ]
    for group in groups:
        if group.vms:
            shown = naming.compress(group.vms)
            raise Conflict(f"the security group {group.name} is used by {shown}", hint=f"cms vm delete {shown}")
    shown = ", ".join(group.name for group in groups)
    return Plan(
        verb="secgroup delete",
        summary=f"delete {shown}" if groups else "nothing to delete",
        question=f"Delete the security group {shown}?" if groups else "",
        steps=tuple(sorted(_deletions(groups), key=lambda step: bool(step.params["awaits"]))),
    )


def _deletions(groups: Sequence[SecGroup]) -> Iterator[Step]:
    """Yield a step for each group: it gives up its rules that name others of them, and waits for those that name it."""
    for group in groups:
        others = [other for other in groups if other.cloud == group.cloud and other.key != group.key]
        words = {word for other in others for word in (other.name, other.id)}
        named = [rule.to_document() for rule in group.rules if rule.remote in words]
        awaits = any(rule.remote in (group.name, group.id) for other in others for rule in other.rules)
        yield from things.steps("secgroup.delete", [group], rules=named, awaits=awaits)


def _as_it_is(ctx: Context, group: SecGroup) -> SecGroup:
    """Return what its cloud says of a group now: nothing is in one that is gone."""
    return things.current(ctx, group, groups_of) or group.with_(vms=())


def _exists(ctx: Context, name: str, cloud: str | None) -> bool:
    try:
        return bool(one_group(ctx, name, cloud))
    except NotFound:
        return False


@action("secgroup.delete")
def _delete(work: Work) -> Noun:
    return things.gone(work, SecGroup, lambda cloud, group: _delete_group(work, cloud, group))


def _delete_group(work: Work, cloud: Any, group: SecGroup) -> None:
    """Delete a group, once those that are deleted beside it no longer name it. Raises: Conflict."""
    clock, params = work.ctx.clock, work.step.params
    with suppress(NotFound):
        for rule in params.get("rules", ()):
            cloud.remove_rule(group, Rule(**rule))
    deadline = clock.monotonic() + (_PATIENCE_S if params.get("awaits") else 0.0)
    while True:
        try:
            cloud.delete_secgroup(group)
        except Conflict:
            if clock.monotonic() >= deadline:
                raise
            work.ctx.pause(_PAUSE_S)
        else:
            return
