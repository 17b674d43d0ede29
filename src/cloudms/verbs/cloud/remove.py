"""`cms cloud remove`: a service less in the configuration file."""

from __future__ import annotations

from typing import Annotated

from cloudms.config import origin, vault
from cloudms.config.clouds import entries
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine.refresh import event
from cloudms.errors import Conflict, Invalid, NotFound
from cloudms.model import CloudInfo, Noun, Origin, Step, nouns
from cloudms.verb import LOCAL, Doc, Names, verb

_COLUMNS = ("name", "state", "reason")


@verb("cloud", "remove", changes=True, doors=LOCAL, columns=_COLUMNS, example="cms cloud remove aws-eu")
def remove(
    ctx: Context,
    name: Annotated[str, Doc("cloud to take out of the configuration"), Names("cloud")],
    *,
    force: Annotated[bool, Doc("even while VMs or volumes of it are known; they stay on the cloud")] = False,
) -> Plan:
    """Take a cloud out of the configuration file; nothing on the cloud changes."""
    settings = ctx.config.cloud(name)
    listed = {each: entry for _section, each, entry in entries(ctx.config.masked())}
    if settings.name not in listed:
        raise Invalid(
            f"cloud '{name}' is built in and does not stand in the file",
            hint=f"cms config set cloud.{name}.cm.active=false keeps it out of lists",
        )
    copies = [each for each, entry in listed.items() if entry.get("like") == settings.name]
    if copies:
        raise Conflict(f"cloud {', '.join(copies)} is like '{name}'", hint=f"cms cloud remove {copies[0]} first")
    kept = _ours(ctx, settings.name)
    if kept and not force:
        raise Conflict(
            f"{len(kept)} known on cloud '{name}' would be out of reach: {', '.join(kept[:3])}",
            hint=f"cms vm delete {kept[0]} first, or --force leaves them where they are",
        )
    notes = (f"{len(kept)} stay on the cloud; cms vm forget drops their records",) if kept else ()
    return Plan(
        verb="cloud remove", summary=f"take cloud {name} out of {ctx.config.path}", notes=notes,
        question=f"Take cloud {name} out of the configuration?",
        steps=(Step(action="cloud.remove", cloud="", target=settings.name),),
    )  # fmt: skip


def _ours(ctx: Context, name: str) -> list[str]:
    """Return the names of what is in our care on a cloud."""
    vms = [row.document["name"] for row in ctx.catalog.find("vm", cloud=name) if _is_ours(row.document)]
    return vms + [row.document["name"] for row in ctx.catalog.find("volume", cloud=name) if row.document["token"]]


def _is_ours(document: object) -> bool:
    return isinstance(document, dict) and document.get("origin") != Origin.FOREIGN


@action("cloud.remove")
def _remove(work: Work) -> Noun:
    ctx, name = work.ctx, work.step.target
    gone = CloudInfo(name=name, cloud=name, state="removed")
    try:
        references = origin.origins(ctx.config.cloud(name), {})
        ctx.config.remove(f"cloud.{name}")
    except NotFound:
        return gone.with_(reason="it was gone already")
    vault.drop(name, references)
    _forget_settings(ctx, name)
    _forget_lists(ctx, name)
    ctx.catalog.put("event", {}, events=[event(ctx, "cloud.remove", gone, "out of the configuration", work.operation)])
    return gone


def _forget_settings(ctx: Context, name: str) -> None:
    """Forget what `cms set` remembers of a cloud."""
    remembered = ctx.config.settings.values()
    for key, value in list(remembered.items()):
        if key.startswith(f"cloud.{name}.") or (key == "default.cloud" and value == name):
            ctx.config.drop(key)


def _forget_lists(ctx: Context, name: str) -> None:
    """Drop the records of what others made there, which no list could bring up to date any more."""
    for kind in nouns():
        rows = ctx.catalog.find(kind, cloud=name) if kind not in ("event", "operation") else []
        stale = [row.key for row in rows if not (kind in ("vm", "volume") and _kept(kind, row.document))]
        if stale:
            ctx.catalog.delete(kind, stale)


def _kept(kind: str, document: object) -> bool:
    return _is_ours(document) if kind == "vm" else isinstance(document, dict) and bool(document.get("token"))
