"""`cms group policy set`, `show`, `test` and `remove`: how a group scales."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action, groups
from cloudms.errors import NotFound
from cloudms.model import Group, Step, Vm
from cloudms.scaling import store
from cloudms.scaling.base import Decision
from cloudms.scaling.file import read
from cloudms.scaling.replay import replayed
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.turn import holder
from cloudms.units import duration
from cloudms.verb import Doc, File, verb
from cloudms.verbs.group.look import OneGroup

PolicyFile = Annotated[Path, Doc("YAML file with policies, limits, sources and balancer"), File()]


@verb(
    "group", "policy", "set", changes=True, columns=("name", "min", "max"), example="cms group policy set web web.yaml"
)
def set_(ctx: Context, name: OneGroup, file: PolicyFile) -> Plan:
    """Say how a group scales: what it looks at, how far it may go, and what becomes of members that go.

    The controller (`cms scaler run`, `cms serve --scaler`) takes it over with its next look. The bounds of the file
    become those of the group. What was measured and decided so far stays.
    """
    group = groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    spec = read(file)
    step = Step(action="group.policy", cloud="", target=group.name, params={"spec": spec.to_plain()})
    kinds = ", ".join(dict.fromkeys(policy.kind for policy in spec.policies)) or "no policy"
    told = () if holder(ctx, name) else (f"nobody scales it yet: cms scaler run --group {name}",)
    summary = f"scale the group {name} from {spec.min} to {spec.max} by {kinds}"
    return Plan(verb="group policy set", summary=summary, steps=(step,), notes=told)


@action("group.policy")
def _put(work: Work) -> Group:
    """Write the policy, and its bounds into the group."""
    ctx, name = work.ctx, work.step.target
    spec = ScalingSpec.from_plain(work.step.params["spec"])
    store.put(ctx, name, spec)
    done = groups.change(ctx, name, lambda each: each.with_(min=spec.min, max=spec.max), "bounds", work.operation)
    return groups.shown(done, (Vm.from_document(row.document) for row in ctx.catalog.find("vm")))


@verb("group", "policy", "show", example="cms group policy show web -o yaml")
def show(ctx: Context, name: OneGroup) -> dict[str, Any]:
    """Show how a group scales, with what is left to its defaults; the output is a file for `group policy set`."""
    return store.find(ctx, name).settings().to_plain()


@verb("group", "policy", "remove", changes=True, example="cms group policy remove web")
def remove(ctx: Context, name: OneGroup) -> Plan:
    """Forget how a group scales, with all that was measured and decided; its members stay as they are."""
    store.find(ctx, name)
    step = Step(action="group.policy.remove", cloud="", target=name)
    return Plan(verb="group policy remove", summary=f"forget the policy of the group {name}", steps=(step,))


@action("group.policy.remove")
def _remove(work: Work) -> Group:
    store.drop(work.ctx, work.step.target)
    return Group(name=work.step.target)


@verb("group", "policy", "test", columns=Decision.columns, example="cms group policy test web other.yaml --since 6h")
def test(
    ctx: Context,
    name: OneGroup,
    file: Annotated[Path | None, Doc("another policy; the group's own otherwise"), File()] = None,
    *,
    since: Annotated[str, Doc("how far back to begin, such as 2h or 1d")] = "24h",
    all: Annotated[bool, Doc("also the decisions that change nothing")] = False,  # noqa: A002 (the option's name)
) -> Listing:
    """Try a policy on what was measured: what it would have decided, and when. Nothing is done.

    What members measured is shared out over as many as the policy would have had then.
    """
    spec = read(file) if file else store.find(ctx, name).settings()
    looks = store.looks(ctx, name, ctx.clock.now() - duration(since))
    if not looks:
        hint = f"cms scaler run --group {name} measures"
        raise NotFound(f"nothing was measured of the group '{name}' in the last {since}", hint=hint)
    found = [each for each in replayed(spec, looks, name) if all or each.action != "hold"]
    ctx.note(f"{len(looks)} looks were tried, and {sum(each.action != 'hold' for each in found)} changes come of them")
    return Listing(items=tuple(found))
