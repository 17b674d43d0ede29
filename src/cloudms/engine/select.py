"""Finding what a person named: by name, host list, id or label, in the catalog first and then on the clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudms import names
from cloudms.context import Context, not_found
from cloudms.engine.labels import narrow
from cloudms.engine.plan import Work, action
from cloudms.engine.refresh import list_vms, refresh
from cloudms.errors import Conflict, Invalid, NotFound, NotReady
from cloudms.model import Step, Vm

_SHORTEST_ID = 4


class Chosen(list[Vm]):
    """VMs that were chosen; `silent` are the clouds that did not answer and may have others with the same `labels`."""

    silent: Sequence[str] = ()
    labels: Mapping[str, str] = {}

    def unseen(self) -> list[Step]:
        """Return a step for each silent cloud: it fails as long as nobody knows what that cloud has."""
        return [Step(action="vm.unseen", cloud=c, target=c, params={"labels": dict(self.labels)}) for c in self.silent]


def vms(
    ctx: Context,
    wanted: Sequence[str],
    *,
    cloud: str = "",
    labels: Mapping[str, str] | None = None,
    what: str = "name the VMs",
) -> list[Vm]:
    """Return the VMs of these names, ids, host lists or labels, each once, in the order given.

    Raises: Invalid (nothing named), NotFound (all that is missing is named), Conflict (a name that several have),
    NotReady (none has the labels on the clouds that answer).
    """
    if not wanted and not labels:
        raise Invalid(f"no VM was named: {what}, or choose with --label", hint="cms vm list shows them")
    expanded = [name for word in wanted for name in names.expand(word)]
    known, silent = _all(ctx, cloud, fresh=False)
    if not _told_apart(known, expanded) or (labels and not expanded):
        known, silent = _all(ctx, cloud, fresh=True)
    by_word = _by_word(known)
    missing = [name for name in expanded if not _means(known, by_word, name)]
    if missing:
        raise _unknown(missing, known)
    if not expanded:
        return _labelled(known, labels or {}, silent)
    found = {vm.key: vm for name in expanded for vm in [_one(_means(known, by_word, name), name)]}
    return Chosen(narrow("VM", found.values(), labels))


def _labelled(known: Sequence[Vm], labels: Mapping[str, str], silent: Sequence[str]) -> Chosen:
    """Return the VMs with these labels. Raises: NotFound, NotReady (none, and a cloud is silent)."""
    try:
        found = Chosen(narrow("VM", known, labels))
    except NotFound as error:
        if not silent:
            raise
        raise NotReady(
            f"{error.message} on the clouds that answer; {', '.join(silent)} did not", hint="cms cloud check tells why"
        ) from None
    found.silent = sorted(set(silent) - {vm.cloud for vm in found})  # the steps of those VMs will tell of the others
    found.labels = labels
    return found


def _told_apart(known: Sequence[Vm], wanted: Sequence[str]) -> bool:
    """Whether every name is known in full: what begins an id may be the name of a VM that was not seen yet."""
    full = {word for vm in known for word in (vm.name, vm.id, vm.token)}
    return full.issuperset(wanted)


def vm(ctx: Context, wanted: str, *, cloud: str = "") -> Vm:
    """Return the one VM of this name or id. Raises: NotFound, Conflict, Invalid (a host list of several)."""
    found = vms(ctx, [wanted], cloud=cloud)
    if len(found) != 1:
        raise Invalid(f"'{wanted}' names {len(found)} VMs where one is needed", hint="give one name")
    return found[0]


def matching(known: Sequence[Vm], name: str) -> list[Vm]:
    """Return the VMs that a name, an id, or the beginning of an id means; a full name or id comes first."""
    return _means(known, _by_word(known), name)


def _by_word(known: Sequence[Vm]) -> dict[str, list[Vm]]:
    """Return the VMs by their full names and ids, so that hundreds of names among hundreds of VMs are found at once."""
    found: dict[str, list[Vm]] = {}
    for vm in known:
        for word in {vm.name, vm.id, vm.token}:
            found.setdefault(word, []).append(vm)
    return found


def _means(known: Sequence[Vm], by_word: Mapping[str, list[Vm]], name: str) -> list[Vm]:
    exact = by_word.get(name, [])
    if exact or len(name) < _SHORTEST_ID:
        return exact
    return [vm for vm in known if vm.id.startswith(name)]


def _all(ctx: Context, cloud: str, *, fresh: bool) -> tuple[list[Vm], list[str]]:
    """Return all VMs, and the clouds that did not answer, which are warned about."""
    listing = list_vms(ctx, ctx.cloud_names(cloud), fresh=fresh)
    for name, error in listing.failed.items():
        ctx.warn(f"cloud '{name}' did not answer: {error['message']}")
    return [item for item in listing.items if isinstance(item, Vm)], list(listing.failed)


@action("vm.unseen")
def _unseen(work: Work) -> None:
    """Ask a cloud that was silent when VMs were chosen by labels whether it has any. Raises: its error, Conflict."""
    ctx, cloud = work.ctx, work.step.cloud
    failed = refresh(ctx, [cloud], "vm", lambda opened: opened.list_vms())
    if failed:
        raise failed[cloud]
    rows = ctx.catalog.find("vm", cloud=cloud, labels=work.step.params["labels"])
    if rows:
        found = names.compress(row.document["name"] for row in rows)
        raise Conflict(f"cloud '{cloud}' answers now, and has {found} with these labels", hint="run the command again")


def _one(found: Sequence[Vm], name: str) -> Vm:
    if len(found) > 1:
        places = ", ".join(f"{vm.id} on {vm.cloud}" for vm in found)
        raise Conflict(f"'{name}' means several VMs: {places}", hint="give the id, or --cloud")
    return found[0]


def _unknown(missing: Sequence[str], known: Sequence[Vm]) -> NotFound:
    if len(missing) == 1:
        return not_found("VM", missing[0], (vm.name for vm in known), "cms vm list shows them")
    return NotFound(f"no VMs named {', '.join(missing)}", hint="cms vm list shows them")
