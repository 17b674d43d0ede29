"""Public SSH keys: those a new VM lets in, and their copies on the clouds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cloudms import names as naming
from cloudms import paths
from cloudms.clouds.base import Keys, require
from cloudms.context import Context
from cloudms.engine import Listing, Plan, Work, action
from cloudms.engine import keys as engine
from cloudms.engine.browse import browse, chosen, one
from cloudms.engine.labels import changed, changes, has, pick
from cloudms.engine.refresh import event
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Key, Noun, Step
from cloudms.verb import LOCAL, Doc, File, Names, verb
from cloudms.verbs.labels import Labels, PutLabels, RemoveLabels, SetLabels
from cloudms.verbs.lists import Cached, Refresh

KeyName = Annotated[str, Doc("name of the key"), Names("key")]
KeyNames = Annotated[list[str], Doc("names of keys"), Names("key")]
OnCloud = Annotated[str | None, Doc("cloud to keep a copy on"), Names("cloud")]
_USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")


@verb("key", "list", columns=(*Key.columns, "created"), example="cms key list --cloud fake")
def list_(
    ctx: Context,
    *,
    cloud: Annotated[str | None, Doc("show the keys that this cloud keeps, too"), Names("cloud")] = None,
    label: Labels = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the keys that VMs can be booted with, and those of a cloud."""
    own = tuple(key for key in _own(ctx) if has(key, label))
    cloud = _where(ctx, cloud)
    if not cloud:
        return Listing(items=own)
    narrow = {"labels": label}
    listing = browse(ctx, "key", _keys_of, cloud=cloud, role=Keys, cached=cached, refresh=refresh, find=narrow)
    return listing.with_(items=own + tuple(item for item in listing.items if item.cloud))


@verb("key", "refresh", columns=(*Key.columns, "created"), example="cms key refresh --cloud fake")
def refresh_(
    ctx: Context,
    *,
    cloud: Annotated[str | None, Doc("only this cloud; all that keep keys otherwise"), Names("cloud")] = None,
    label: Labels = None,
) -> Listing:
    """Ask the clouds for the keys they keep, bring the catalog up to date and list them."""
    return browse(ctx, "key", _keys_of, cloud=cloud or "", role=Keys, refresh=True, find={"labels": label})


def _own(ctx: Context) -> list[Key]:
    """Return the keys of the catalog that belong to no cloud."""
    return [Key.from_document(row.document) for row in ctx.catalog.find("key") if not row.document["cloud"]]


def _keys_of(opened: Keys) -> Iterable[Key]:
    return opened.list_keys()


@verb("key", "get", example="cms key get cloudms > cloudms.pub")
def get(
    ctx: Context,
    name: KeyName,
    *,
    cloud: Annotated[str | None, Doc("show the copy that this cloud keeps"), Names("cloud")] = None,
) -> str:
    """Print a public key as one line of OpenSSH's format."""
    cloud = _where(ctx, cloud)
    if not cloud:
        return engine.find(ctx, name).public
    found = one(ctx, "key", name, _keys_of, cloud=cloud, role=Keys)
    public = found.public if isinstance(found, Key) else ""
    if not public:
        raise NotFound(
            f"cloud '{cloud}' does not show the public key of '{name}'", hint=f"cms key list --cloud {cloud}"
        )
    return public


@verb("key", "create", changes=True, doors=LOCAL, columns=Key.columns, example="cms key create work")
def create(ctx: Context, name: KeyName, *, cloud: OnCloud = None, label: PutLabels = None) -> Plan:
    """Make an ed25519 key pair; its private half stays on this machine, readable by you alone."""
    cloud = _where(ctx, cloud)
    naming.valid(name)
    if ctx.catalog.get("key", f"/{name}") is not None:
        shown = f"cms key add {name} --cloud {cloud} puts it there" if cloud else f"cms key get {name} shows it"
        raise Exists(f"there is a key '{name}' already", hint=f"{shown}, or choose another name")
    if _private(name).exists():
        raise Exists(
            f"{_private(name)} exists already",
            hint=f"cms key add {name} {_private(name)}.pub takes it in, or choose another name",
        )
    _check_cloud(ctx, cloud)
    steps = _steps("key.create", name, cloud, labels=naming.labels(label))
    return Plan(verb="key create", summary=f"make the key {name}", steps=steps)


@action("key.create")
def _create(work: Work) -> Noun:
    """Make the pair, unless an earlier attempt has, and take it in."""
    name = work.step.target
    private = paths.private(paths.keys()) / name
    if not private.exists():
        work.report("making the key pair")
        engine.generate(private, comment=name)
    public = private.with_name(f"{name}.pub").read_text()
    return _take_in(work, engine.from_public(name, public, str(private), work.ctx.clock.now()), "made")


@verb("key", "add", changes=True, columns=Key.columns, example="cms key add laptop ~/.ssh/id_ed25519.pub")
def add(
    ctx: Context,
    name: KeyName,
    file: Annotated[Path | None, Doc("public key file; the usual one of ~/.ssh otherwise"), File()] = None,
    *,
    cloud: OnCloud = None,
    label: PutLabels = None,
) -> Plan:
    """Take a public key in, so that VMs can be booted with it; with --cloud, put it there, too."""
    cloud = _where(ctx, cloud)
    naming.valid(name)
    known = ctx.catalog.get("key", f"/{name}")
    if known is not None and file is None and cloud:
        key = Key.from_document(known.document)
    else:
        key = engine.from_public(name, _read(file or _usual(ctx)))
        if known is not None and known.document["fingerprint"] != key.fingerprint:
            raise Exists(
                f"there is another key '{name}' already", hint=f"cms key delete {name}, or choose another name"
            )
    _check_cloud(ctx, cloud)
    return Plan(
        verb="key add",
        summary=f"take in the key {name} ({key.fingerprint})",
        steps=_steps("key.add", name, cloud, public=key.public, labels=naming.labels(label)),
    )


@action("key.add")
def _add(work: Work) -> Noun:
    name = work.step.target
    stored = work.ctx.catalog.get("key", f"/{name}")
    if stored is not None:
        return _take_in(work, Key.from_document(stored.document), "kept")
    key = engine.from_public(name, work.step.params["public"], created=work.ctx.clock.now())
    private = _private(name)
    public = private.with_name(f"{name}.pub")
    ours = private.exists() and public.exists() and engine.from_public(name, public.read_text()).public == key.public
    return _take_in(work, key.with_(private_path=str(private) if ours else ""), "added")


def _take_in(work: Work, key: Key, text: str) -> Key:
    """Keep a key in the catalog, and on the cloud of the step when it has one."""
    ctx, cloud = work.ctx, work.step.cloud
    key = key.with_(labels={**key.labels, **work.step.params.get("labels", {})})
    ctx.catalog.put(
        "key", {key.key: key.to_document()}, events=[event(ctx, work.step.action, key, text, work.operation)]
    )
    if not cloud:
        return key
    work.report(f"putting it on {cloud}")
    copy: Key = ctx.cloud(cloud).add_key(key.name, key.public)  # type: ignore[attr-defined]
    copy = copy.with_(fetched=ctx.clock.now(), labels=key.labels)
    events = [event(ctx, work.step.action, copy, f"put on {cloud}", work.operation)]
    ctx.catalog.put("key", {copy.key: copy.to_document()}, events=events)
    return copy


@verb("key", "delete", changes=True, doors=LOCAL, columns=("name", "cloud"), example="cms key delete work --yes")
def delete(
    ctx: Context,
    names: KeyNames = [],  # noqa: B006 (never changed)
    *,
    cloud: Annotated[str | None, Doc("delete only the copies that this cloud keeps"), Names("cloud")] = None,
    label: Labels = None,
) -> Plan:
    """Forget keys; a private half goes, too, when cloudms made it.

    Copies on clouds stay until they are deleted with --cloud. A key that VMs are reached with is refused.
    """
    cloud = _where(ctx, cloud)
    keys = _chosen(ctx, names, cloud, label)
    for key in keys:
        _check_unused(ctx, key)
    shown = f"the key{'s' if len(keys) > 1 else ''} {naming.compress(key.name for key in keys)}"
    end = " with the private half, for good" if any(map(_made_here, keys)) else ""
    return Plan(
        verb="key delete",
        summary=f"delete {shown} from {cloud}" if cloud else f"delete {shown}",
        question=f"Delete {shown} of {cloud}?" if cloud else f"Delete {shown}{end}?",
        steps=tuple(
            step for key in keys for step in _steps("key.delete", key.name, cloud, fingerprint=key.fingerprint)
        ),
    )


def _chosen(ctx: Context, words: Sequence[str], cloud: str | None, label: Mapping[str, str] | None) -> list[Key]:
    """Return the keys, or the copies on a cloud, of these names or labels. Raises: Invalid, NotFound, Unsupported."""
    if not cloud:
        return pick("key", words, label, lambda name: engine.find(ctx, name), lambda: _own(ctx))
    _check_cloud(ctx, cloud)
    found = chosen(ctx, "key", words, label, _keys_of, cloud=cloud, role=Keys)
    return [key for key in found if isinstance(key, Key)]


def _check_unused(ctx: Context, key: Key) -> None:
    """Refuse to delete the private half that leads into VMs. Raises: Conflict."""
    users = [
        str(row.document["name"])
        for row in (ctx.catalog.find("vm") if _made_here(key) else ())
        if row.document["ssh_key"] == key.private_path
    ]
    if users:
        raise Conflict(f"the key '{key.name}' is the way into {naming.compress(users)}", hint="delete these VMs first")


@action("key.delete")
def _delete(work: Work) -> Noun:
    ctx, name, cloud = work.ctx, work.step.target, work.step.cloud
    stored = ctx.catalog.get("key", f"{cloud}/{name}")
    if stored and stored.document["fingerprint"] != work.step.params["fingerprint"]:
        raise Conflict(f"'{name}' is another key by now and stays", hint=f"cms key delete {name} deletes that one")
    if cloud:
        ctx.cloud(cloud).delete_key(name)  # type: ignore[attr-defined]
    gone = Key.from_document(stored.document) if stored else Key(name=name, cloud=cloud)
    if _made_here(gone):
        for file in (Path(gone.private_path), Path(f"{gone.private_path}.pub")):
            file.unlink(missing_ok=True)
    ctx.catalog.delete("key", [f"{cloud}/{name}"], events=[event(ctx, "key.delete", gone, "deleted", work.operation)])
    return gone


@verb("key", "label", changes=True, columns=("name", "cloud", "labels"), example="cms key label work --set use=lab")
def label_(
    ctx: Context,
    names: KeyNames = [],  # noqa: B006 (never changed)
    *,
    set: SetLabels = None,  # noqa: A002 (the option's name)
    remove: RemoveLabels = None,
    cloud: Annotated[str | None, Doc("label the copies that this cloud keeps"), Names("cloud")] = None,
    label: Labels = None,
) -> Plan:
    """Set and remove labels of keys; they stand in the catalog of this machine."""
    cloud = _where(ctx, cloud)
    params = changes(set, remove)
    keys = _chosen(ctx, names, cloud, label)
    return Plan(
        verb="key label",
        summary=f"label {naming.compress(key.name for key in keys)}",
        steps=tuple(step for key in keys for step in _steps("key.label", key.name, cloud, key=key.key, **params)),
    )


@action("key.label")
def _label(work: Work) -> Noun:
    stored = work.ctx.catalog.get("key", work.step.params["key"])
    if stored is None:
        raise NotFound(f"{work.step.target} is gone", hint="cms key list")
    key = Key.from_document(stored.document)
    key = key.with_(labels=changed(key.labels, work.step.params))
    events = [event(work.ctx, "key.label", key, "labelled", work.operation)]
    work.ctx.catalog.put("key", {key.key: key.to_document()}, events=events)
    return key


def _private(name: str) -> Path:
    return paths.keys() / name


def _made_here(key: Key) -> bool:
    """Whether cloudms made the key pair: its private half stands in the folder of keys."""
    return bool(key.private_path) and not key.cloud and Path(key.private_path).parent == paths.keys()


def _steps(action_: str, target: str, cloud: str | None, **params: Any) -> tuple[Step, ...]:
    return (Step(action=action_, cloud=cloud or "", target=target, params=params),)


def _where(ctx: Context, cloud: str | None) -> str:
    """Return the cloud of an option, else of the word before the command (cms aws key list) when it keeps keys."""
    if cloud or not ctx.chosen_cloud:
        return cloud or ""
    keeps = any(issubclass(ctx.cloud_class(name), Keys) for name in ctx.cloud_names())
    return ctx.chosen_cloud if keeps else ""


def _check_cloud(ctx: Context, cloud: str | None) -> None:
    """Refuse a cloud that keeps no keys. Raises: NotFound, Unsupported."""
    if cloud:
        require(ctx.cloud(cloud), Keys)


def _usual(ctx: Context) -> Path:
    """Return the person's usual public key file. Raises: NotFound."""
    places = [str(ctx.config.get("profile.publickey") or "")] + [f"~/.ssh/{name}.pub" for name in _USUAL]
    found = [file for place in places if place and (file := Path(place).expanduser()).is_file()]
    if not found:
        raise NotFound("there is no public key in ~/.ssh", hint="name the file, or let cms key create NAME make one")
    return found[0]


def _read(file: Path) -> str:
    """Return the text of a public key file. Raises: Invalid."""
    try:
        with file.expanduser().open(encoding="utf-8") as stream:
            return stream.read(64 * 1024)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Invalid(f"cannot read {file}: {reason}", hint="name a .pub file of OpenSSH's format") from None
