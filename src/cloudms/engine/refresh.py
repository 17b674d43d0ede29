"""Lists: from the clouds into the catalog, or from the catalog with their age.

What a cloud says is believed; what it leaves out is asked for by id before it is forgotten, and what was just asked for
is not missing yet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cloudms import ssh
from cloudms.catalog.base import Scope, Stored
from cloudms.clouds.base import Cloud, ImagePages, Role, require
from cloudms.context import Context
from cloudms.engine import images, resized, userdata
from cloudms.engine.plan import Listing
from cloudms.engine.reserve import release
from cloudms.errors import CloudmsError, NotFound
from cloudms.model import Event, Noun, Origin, Vm, VmState, nouns

_FRESH = 60.0
"""Seconds during which a VM that was just asked for may be absent from its cloud's list."""
_ASKED = 600.0
"""Seconds during which a thing that was asked for may have no id."""
_TOKENED = ("volume", "address", "volume_snapshot", "secgroup")
"""Kinds whose rows are written before their cloud is asked to make them."""

_UNLISTED: dict[str, tuple[str, ...]] = {
    "volume": ("token",),
    "volume_snapshot": ("token",),
    "secgroup": ("token",),
    "key": ("labels",),
    "address": ("labels", "created"),
    "snapshot": ("labels",),
    "flavor": ("price_per_hour", "spot_per_hour", "currency", "price_fetched"),
}
"""Fields that the lists of clouds leave out, by kind: the catalog keeps them."""

_OBSERVED = ("id", "region", "image", "flavor", "created", "ssh_host", "ssh_port", "login", "price_per_hour", "expires")
"""Fields that the cloud overwrites when it knows them."""


def wants_fresh(ctx: Context, *, cached: bool, refresh: bool) -> bool:
    """Whether to ask the clouds: as the options say, else as `refresh on|off` has set."""
    if cached or refresh:
        return refresh
    wanted: bool = ctx.config.flag("refresh", True)
    return wanted


def list_vms(ctx: Context, clouds: Sequence[str], *, fresh: bool, find: Mapping[str, Any] | None = None) -> Listing:
    """Return the VMs of `clouds`; `find` narrows the catalog query (labels, limit …)."""
    failed = refresh(ctx, clouds, "vm", lambda cloud: cloud.list_vms()) if fresh else {}
    return _from_catalog(ctx, "vm", clouds, failed, fresh=fresh, find=find)


def list_nouns(
    ctx: Context,
    kind: str,
    clouds: Sequence[str],
    fetch: Callable[[Any], Iterable[Noun]],
    *,
    fresh: bool,
    role: type[Role] | None = None,
    named: bool = False,
    unseen: bool = False,
    trusted: Collection[str] = (),
    find: Mapping[str, Any] | None = None,
) -> Listing:
    """Return nouns of `kind`; a cloud without `role` is left out, or refused (Unsupported) when it was `named`.

    With `unseen`, clouds whose nouns of this kind were never fetched are asked even when the list need not be `fresh`;
    those that are `trusted` are not asked even when it must.
    """
    able, failed = _able(ctx, clouds, role, named=named)
    asked = [name for name in able if (fresh and name not in trusted) or (unseen and not _fetched(ctx, kind, name))]
    failed |= refresh(ctx, asked, kind, fetch)
    return _from_catalog(ctx, kind, able, failed, fresh=fresh or asked == able, find=find)


def _able(
    ctx: Context, clouds: Sequence[str], role: type[Role] | None, *, named: bool
) -> tuple[list[str], dict[str, CloudmsError]]:
    """Return the clouds that have `role`, and those that cannot even be asked for it with their error."""
    able: list[str] = []
    failed: dict[str, CloudmsError] = {}
    for name in clouds:
        try:
            fits = role is None or issubclass(ctx.cloud_class(name), role)
        except CloudmsError as error:
            failed[name] = error
            continue
        if fits:
            able.append(name)
        elif named and role:
            require(ctx.cloud(name), role)
    return able, failed


def _fetched(ctx: Context, kind: str, cloud: str) -> bool:
    """Whether the nouns of a cloud were ever fetched completely."""
    if kind == "image" and images.is_paged(ctx, cloud):
        return any(row["own"] and row["sealed"] for row in images.progress_of(ctx, [cloud]))
    generation = ctx.catalog.generation(Scope(kind=kind, cloud=cloud))
    return generation is not None and generation.sealed is not None


def refresh(
    ctx: Context, clouds: Sequence[str], kind: str, fetch: Callable[[Any], Iterable[Noun]]
) -> dict[str, CloudmsError]:
    """Bring `kind` of every cloud into the catalog, in parallel, and return the clouds that failed with their error."""
    failed: dict[str, CloudmsError] = {}

    def one(name: str) -> None:
        try:
            _refresh_one(ctx, ctx.cloud(name), kind, fetch)
        except CloudmsError as error:
            failed[name] = error

    each(clouds, one)
    return {name: failed[name] for name in clouds if name in failed}


def each(items: Sequence[str], do: Callable[[str], None]) -> None:
    """Call `do` for every item, in parallel when there are several."""
    if len(items) <= 1:
        for item in items:
            do(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(len(items), 16)) as pool:
        list(pool.map(do, items))


def _refresh_one(ctx: Context, cloud: Cloud, kind: str, fetch: Callable[[Any], Iterable[Noun]]) -> None:
    if kind == "image" and isinstance(cloud, ImagePages):
        for _ in images.walk(ctx, cloud):
            pass
        return
    scope = Scope(kind=kind, cloud=cloud.name)
    generation = ctx.catalog.begin(scope, now=ctx.clock.now())
    known = _known(ctx, cloud.name) if kind == "vm" else {}
    fetched = ctx.clock.now()
    page: dict[str, dict[str, Any]] = {}
    kept = _kept(ctx, kind, cloud.name)
    try:
        for noun in fetch(cloud):
            if isinstance(noun, Vm) and noun.state is VmState.TERMINATED:
                _ended(ctx, known.get(noun.key), noun)
                continue
            noun = merged(known.get(noun.key), noun, fetched) if isinstance(noun, Vm) else noun.with_(fetched=fetched)
            noun = noun.with_(**{name: value for name, value in kept.get(noun.id, ()) if not getattr(noun, name)})
            page[noun.key] = noun.to_document()
            if len(page) >= 500:
                ctx.catalog.absorb(generation, _still_there(ctx, known, page))
                page = {}
    finally:  # a list that breaks off (a region that does not answer) is true as far as it came, and prunes nothing
        ctx.catalog.absorb(generation, _still_there(ctx, known, page))
    unseen = ctx.catalog.seal(generation, now=ctx.clock.now(), prune=kind not in ("vm", *_TOKENED))
    if kind == "vm":
        for row in unseen:
            _absent(ctx, cloud, row)
        _reserve_names(ctx, cloud.name)
    elif kind in _TOKENED:
        ctx.catalog.delete(kind, [row.key for row in unseen if not _just_asked(row.document, fetched)])


def _reserve_names(ctx: Context, cloud: str) -> None:
    """Take the names of our own VMs that only the cloud told of (another catalog's, or from before a lost one)."""
    now = ctx.clock.now()
    wanted = {
        vm.name: {"name": vm.name, "token": vm.token, "cloud": cloud, "process": "", "at": now}
        for vm in reversed(_known(ctx, cloud).values())  # of several with one name the first has it
        if vm.origin is Origin.OWN and vm.id
    }
    reserved = {row.key for row in ctx.catalog.find("name")} if wanted else set()
    ctx.catalog.insert_many("name", {name: taken for name, taken in wanted.items() if name not in reserved})


def _kept(ctx: Context, kind: str, cloud: str) -> dict[str, list[tuple[str, Any]]]:
    """Return by id what the catalog alone knows of nouns of a kind: field and value."""
    fields = _UNLISTED.get(kind)
    rows = ctx.catalog.find(kind, cloud=cloud) if fields else []
    return {row.document["id"]: [(name, row.document[name]) for name in fields or ()] for row in rows}


def _just_asked(document: Mapping[str, Any], now: float) -> bool:
    """Whether a thing is an intent that a process may still be carrying out."""
    return not document["id"] and now - (document.get("created") or document["fetched"] or 0.0) < _ASKED


def _known(ctx: Context, cloud: str) -> dict[str, Vm]:
    return {row.key: Vm.from_document(row.document) for row in ctx.catalog.find("vm", cloud=cloud)}


def _still_there(ctx: Context, known: Mapping[str, Vm], page: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out VMs that another process has deleted and forgotten while the list was on its way."""
    return {key: doc for key, doc in page.items() if key not in known or ctx.catalog.get("vm", key) is not None}


def merged(stored: Vm | None, seen: Vm, now: float) -> Vm:
    """Return what the catalog keeps of a VM its cloud has just described."""
    if stored is None:
        return resized.told(seen.with_(fetched=now, since=seen.since or now))
    changes: dict[str, Any] = {name: value for name in _OBSERVED if (value := getattr(seen, name)) not in (None, "")}
    found = stored.with_(
        **changes,
        **resized.kept(stored, seen),
        name=seen.name or stored.name,
        state=seen.state,
        reason=seen.reason,
        since=stored.since if stored.state is seen.state else now,
        public_ips=seen.public_ips,
        private_ips=seen.private_ips,
        origin=seen.origin,
        protected=stored.protected or seen.protected,
        labels={**stored.labels, **seen.labels},
        raw=seen.raw,
        fetched=now,
    )
    return resized.told(found)


def _ended(ctx: Context, stored: Vm | None, seen: Vm) -> None:
    """Forget a VM that its cloud still tells of although it is gone; an intent is ended by who wrote it, or a sweep."""
    if stored is not None and stored.id:
        gone = f"ended by its cloud: {seen.reason}" if seen.reason else "gone from its cloud"
        forget(ctx, stored, "deleted" if stored.state is VmState.TERMINATING else gone)


def _absent(ctx: Context, cloud: Cloud, row: Stored) -> None:
    """Decide about a VM that a complete list did not contain."""
    vm = Vm.from_document(row.document)
    now = ctx.clock.now()
    if not vm.id:
        return  # an intent: the operation that wrote it, or a sweep, ends it
    if vm.state is VmState.PENDING and now - (vm.since or 0) < _FRESH:
        return
    try:
        found = cloud.get_vm(vm)
    except NotFound:
        forget(ctx, vm, "gone from its cloud" if vm.state is not VmState.TERMINATING else "deleted")
    except CloudmsError:
        return
    else:
        if found.state is VmState.TERMINATED:
            _ended(ctx, vm, found)
        else:
            ctx.catalog.put("vm", {row.key: merged(vm, found, now).to_document()})


def forget(ctx: Context, vm: Vm, text: str, operation: str = "") -> None:
    """Remove a VM its cloud no longer has from the catalog, with its name and its pinned host key."""
    ctx.catalog.delete("vm", [vm.key], events=[event(ctx, "vm.forget", vm, text, operation)])
    release(ctx, vm.name, vm.token)
    userdata.drop(vm.token)
    ssh.unpin(vm)


def event(ctx: Context, action: str, noun: Noun, text: str, operation: str = "") -> dict[str, Any]:
    """Return the document of an event that happens now."""
    return Event(
        name=noun.name,
        cloud=noun.cloud,
        at=ctx.clock.now(),
        actor=ctx.actor,
        action=action,
        target=noun.name,
        text=text,
        operation=operation,
    ).to_document()


def _from_catalog(
    ctx: Context,
    kind: str,
    clouds: Sequence[str],
    failed: Mapping[str, CloudmsError],
    *,
    fresh: bool,
    find: Mapping[str, Any] | None,
) -> Listing:
    narrow = dict(find or {})
    rows: list[Stored] = []
    if len(clouds) > 1 and not narrow.get("limit"):
        chosen = set(clouds)
        rows = [row for row in ctx.catalog.find(kind, **narrow) if row.document.get("cloud") in chosen]
    else:
        for cloud in clouds:
            rows += ctx.catalog.find(kind, cloud=cloud, **narrow)
        rows = rows[: narrow["limit"]] if narrow.get("limit") else rows
    cls = nouns()[kind]
    items = tuple(
        sorted((cls.from_document(row.document) for row in rows), key=lambda item: (item.cloud, natural(item.name)))
    )
    times = [item.fetched for item in items if item.fetched is not None]
    errors = {name: {**error.to_public(), "cloud": name} for name, error in failed.items()}
    return Listing(items=items, failed=errors, fetched=min(times) if times else None, cached=not fresh)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts web-2 before web-10."""
    import re

    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
