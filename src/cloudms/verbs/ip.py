"""Public addresses that are had without a VM: list, take, label and give back (`cms vm ip set` leads them to VMs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Addresses, Locations, require
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine.addresses import fetch, look_again, require_pool
from cloudms.engine.browse import browse, chosen
from cloudms.engine.labels import changed, changes, expanded
from cloudms.engine.rates import priced, rate
from cloudms.engine.refresh import event
from cloudms.engine.reserve import new_token
from cloudms.errors import CloudmsError, Conflict, NotFound, Timeout
from cloudms.model import Address, Noun, Step
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.labels import Labels, PutLabels, RemoveLabels, SetLabels
from cloudms.verbs.lists import Cached, CloudName, Refresh

AddressNames = Annotated[list[str], Doc("addresses, or their ids"), Names("address")]
_GONE = ("name", "cloud", "vm")


@verb("ip", "list", columns=Address.columns, example="cms ip list --label use=front")
def list_(
    ctx: Context, *, cloud: CloudName = None, label: Labels = None, cached: Cached = False, refresh: Refresh = False
) -> Listing:
    """List the public addresses of all clouds, the VM each leads to, and what it costs per hour."""
    listing = browse(
        ctx,
        "address",
        fetch,
        cloud=cloud or "",
        role=Addresses,
        cached=cached,
        refresh=refresh,
        find={"labels": label},
    )
    return priced(ctx, listing)


@verb("ip", "create", changes=True, columns=Address.columns, example="cms ip create --label use=front")
def create(
    ctx: Context,
    *,
    cloud: Annotated[str | None, Doc("cloud to take it on; the default cloud otherwise"), Names("cloud")] = None,
    region: Annotated[str | None, Doc("region of the VM it is for (cms location list)"), Names("location")] = None,
    label: PutLabels = None,
) -> Plan:
    """Take a public address into the account: it stays, and costs money, until cms ip delete."""
    where = ctx.default_cloud(cloud or "")
    require_pool(ctx, where)
    if region:
        require(ctx.cloud(where), Locations)
    params = {"labels": naming.labels(label), "token": new_token(ctx), "region": region or ""}
    price = rate(ctx, where, "address", region or "")
    return Plan(
        verb="ip create",
        summary=f"take a public address on {where}",
        steps=(Step(action="ip.create", cloud=where, target="address", params=params),),
        notes=(f"an address costs {price:.4g} per hour, with or without a VM",) if price else (),
    )


def _intents(ctx: Context, steps: Sequence[Step]) -> list[Step]:
    """Write the row before the call; until the cloud has said which address it is, its token names it."""
    for step in steps:
        token = step.params["token"]
        if ctx.catalog.get("address", token):
            continue
        asked = Address(
            name=f"new-{token[8:14]}", cloud=step.cloud, region=step.params["region"], token=token, owner=ctx.owner,
            labels=step.params["labels"], created=ctx.clock.now(),
        )  # fmt: skip
        _save(ctx, asked, "ip.create", "asked for")
    return list(steps)


def _withdraw(ctx: Context, step: Step) -> None:
    _forget(ctx, _asked(step), "ip.create", "not begun")


def _asked(step: Step) -> Address:
    return Address(name=step.target, cloud=step.cloud, token=step.params["token"])


@action("ip.create", prepare=_intents, withdraw=_withdraw)
def _create(work: Work) -> Noun:
    """Take the address of a step, or find the one that an earlier attempt took."""
    ctx, step = work.ctx, work.step
    cloud: Any = ctx.cloud(step.cloud)
    try:
        made: Address = cloud.create_address(step.params["token"], step.params["region"])
    except CloudmsError as error:
        if not error.retryable and not isinstance(error, Timeout):
            _forget(ctx, _asked(step), "ip.create", f"failed: {error.message}", work.operation)
        raise
    ctx.catalog.delete("address", [f"{made.cloud}/{made.id}"])  # as it was listed while nobody had it
    row = made.with_(token=step.params["token"], labels=step.params["labels"], created=made.created or ctx.clock.now())
    return _save(ctx, row, "ip.create", "taken", work.operation)


@verb("ip", "delete", changes=True, columns=_GONE, example="cms ip delete 127.77.250.1 --yes")
def delete(
    ctx: Context,
    addresses: AddressNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    missing_ok: Annotated[bool, Doc("succeed when there is no such address")] = False,
) -> Plan:
    """Give public addresses back; one that leads to a VM is refused."""
    try:
        found = _chosen(ctx, addresses, cloud, label)
    except NotFound:
        if not missing_ok:
            raise
        found = []
    for where in dict.fromkeys(address.cloud for address in found):
        require_pool(ctx, where)
        look_again(ctx, where)
    found = [_current(ctx, address) for address in found]
    for address in found:
        if address.vm:
            hint = f"cms vm ip remove {address.vm} {address.name} --keep, then delete it"
            raise Conflict(f"{address.name} leads to {address.vm}", hint=hint)
    shown = ", ".join(address.name for address in found)
    return Plan(
        verb="ip delete",
        summary=f"give {shown} back" if found else "nothing to give back",
        question=f"Give {shown} back? Others may get it then." if found else "",
        steps=_steps("ip.delete", found),
    )


@action("ip.delete")
def _delete(work: Work) -> Noun:
    address = _loaded(work)
    if address is None:
        return Address(name=work.step.target, cloud=work.step.cloud)
    cloud: Any = work.ctx.cloud(address.cloud)
    if address.id:
        cloud.delete_address(address)
    _forget(work.ctx, address, "ip.delete", "given back", work.operation)
    return address


@verb("ip", "label", changes=True, columns=("name", "cloud", "labels"), example="cms ip label 127.77.250.1 --set a=b")
def label_(
    ctx: Context,
    addresses: AddressNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of addresses; they stand in the catalog of this machine."""
    params = changes(set, remove)
    found = _chosen(ctx, addresses, cloud, label)
    shown = ", ".join(address.name for address in found)
    return Plan(verb="ip label", summary=f"label {shown}", steps=_steps("ip.label", found, **params))


@action("ip.label")
def _label(work: Work) -> Noun:
    address = _loaded(work)
    if address is None:
        raise NotFound(f"{work.step.target} is gone", hint="cms ip list")
    labelled = address.with_(labels=changed(address.labels, work.step.params))
    return _save(work.ctx, labelled, "ip.label", "labelled", work.operation)


def _chosen(ctx: Context, words: Sequence[str], cloud: str | None, label: Mapping[str, str] | None) -> list[Address]:
    """Return the addresses of these numbers, ids or labels. Raises: Invalid, NotFound, Conflict."""
    found = chosen(ctx, "address", expanded(words), label, fetch, cloud=cloud or "", role=Addresses)
    return [address for address in found if isinstance(address, Address)]


def _current(ctx: Context, address: Address) -> Address:
    stored = ctx.catalog.get("address", address.key)
    return Address.from_document(stored.document) if stored else address.with_(vm="")


def _loaded(work: Work) -> Address | None:
    stored = work.ctx.catalog.get("address", work.step.params["key"])
    return Address.from_document(stored.document) if stored else None


def _steps(name: str, found: Sequence[Address], **params: Any) -> tuple[Step, ...]:
    return tuple(
        Step(action=name, cloud=address.cloud, target=address.name, params={"key": address.key, **params})
        for address in found
    )


def _save(ctx: Context, address: Address, deed: str, text: str, operation: str = "") -> Address:
    """Store an address's row together with the event that changed it."""
    address = address.with_(fetched=ctx.clock.now())
    events = [event(ctx, deed, address, text, operation)]
    ctx.catalog.put("address", {address.key: address.to_document()}, events=events)
    return address


def _forget(ctx: Context, address: Address, deed: str, text: str, operation: str = "") -> None:
    ctx.catalog.delete("address", [address.key], events=[event(ctx, deed, address, text, operation)])
