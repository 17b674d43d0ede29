"""`cms cloud list`, `info`, `check` and `roles`: which clouds there are, what is known of them, whether they answer."""

from __future__ import annotations

from typing import Annotated, Any

from cloudms import registry
from cloudms.config import CloudSettings, origin
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.refresh import each
from cloudms.errors import CloudmsError
from cloudms.model import CloudInfo, Quota
from cloudms.verb import Doc, Names, verb
from cloudms.verbs.settings import shown as plain

_CHECKED = ("name", "provider", "default", "state", "version", "seconds", "reason", "hint")
_UNUSED = ("inactive", "unset", "unsupported")


@verb("cloud", "list", columns=CloudInfo.columns, example="cms cloud list")
def list_(ctx: Context) -> Listing:
    """List the configured clouds, without asking any of them."""
    others = ctx.config.natives()
    if others.clouds:
        names = ", ".join(list(others.clouds)[:8]) + (" …" if len(others.clouds) > 8 else "")
        ctx.note(f"{others.file} has {names}, too: --cloud NAME; cms cloud add NAME --kind openstack lists one here")
    if others.problem:
        ctx.warn(others.problem)
    return Listing(items=tuple(shown(ctx, settings) for settings in ctx.config.clouds()))


def shown(ctx: Context, settings: CloudSettings) -> CloudInfo:
    """Return what the configuration alone says about a cloud."""
    reason, hint = _reason(settings)
    return CloudInfo(
        name=settings.name,
        cloud=settings.name,
        provider=settings.kind,
        default=settings.name == ctx.config.default_cloud(),
        active=settings.active and not reason,
        state="unsupported" if reason and settings.active else settings.state,
        reason=reason,
        hint=hint,
    )


def _reason(settings: CloudSettings) -> tuple[str, str]:
    """Return why a cloud is not used, and what to do about it."""
    name, kinds = settings.name, registry.index().families["cloudms.clouds"]
    if settings.state == "inactive":
        return "the configuration says it is not active", f"cms config set cloud.{name}.cm.active=true"
    if settings.state == "unset":
        return f"no value yet: {', '.join(settings.unset[:4])}", "fill them in; cms config path names the file"
    if settings.kind not in kinds:
        what = f"nothing here opens clouds of kind '{settings.kind}'" if settings.kind else "it has no kind"
        return what, f"known kinds: {', '.join(sorted(kinds))}"
    return "", ""


@verb("cloud", "info", columns=("name", "provider", "state", "like", "origins"), example="cms cloud info local")
def info(ctx: Context, name: Annotated[str, Doc("name of the cloud"), Names("cloud")]) -> CloudInfo:
    """Show what the configuration says of a cloud, where its credentials come from, and what is known there.

    Nobody is asked, and no secret is shown.
    """
    settings = ctx.config.cloud(name)
    cls = ctx.cloud_class(settings.name) if settings.state != "unsupported" else None
    counts = {kind: ctx.catalog.count(kind, cloud=settings.name) for kind in ("vm", "volume", "image")}
    return shown(ctx, settings).with_(
        like=str(ctx.config.get(f"cloud.{settings.name}.like") or ""),
        defaults=plain(dict(settings.default)),
        options=plain(dict(settings.options)),
        origins=origin.origins(settings, ctx.config.environ),
        roles=tuple(role.name for role in cls.roles()) if cls else (),
        known={kind: count for kind, count in counts.items() if count},
        details={"file": str(ctx.config.path or "")},
    )


@verb("cloud", "check", columns=_CHECKED, example="cms cloud check")
def check(
    ctx: Context,
    names: Annotated[list[str], Doc("clouds to ask; all active ones otherwise"), Names("cloud")] = [],  # noqa: B006
) -> Listing:
    """Ask every cloud, all at once, whether address, credentials and rights are right, and say what is wrong.

    Clouds that are not in use are shown, but not asked unless they are named.
    """
    chosen = names or (ctx.cloud_names() if ctx.chosen_cloud else [cloud.name for cloud in ctx.config.clouds()])
    known = [shown(ctx, ctx.config.cloud(name)) for name in dict.fromkeys(chosen)]
    asked = [info.name for info in known if info.name in names or info.state not in _UNUSED]
    answers: dict[str, CloudInfo] = {}
    failed: dict[str, CloudmsError] = {}

    def one(name: str) -> None:
        begun = ctx.clock.monotonic()
        try:
            answers[name] = _reached(ctx, name)
        except CloudmsError as error:
            failed[name] = error
            answers[name] = CloudInfo(name=name, state="failed", reason=error.message, hint=error.hint)
        answers[name] = answers[name].with_(seconds=round(ctx.clock.monotonic() - begun, 3))

    each(asked, one)
    return Listing(
        items=tuple(_merged(info, answers.get(info.name)) for info in known),
        failed={name: {**failed[name].to_public(), "cloud": name} for name in asked if name in failed},
        asked=tuple(asked),
    )


def _reached(ctx: Context, name: str) -> CloudInfo:
    reach = ctx.cloud(name).reach()
    details = {**reach.details, "account": reach.account} if reach.account else dict(reach.details)
    if quotas := _quotas(ctx, name):
        details["quotas"] = quotas
    return CloudInfo(name=name, state="ok", version=reach.version, details=details)


def _quotas(ctx: Context, name: str) -> dict[str, Any]:
    """Return the limits that the catalog knows of a cloud's account, as cms quota list has last seen them."""
    rows = (Quota.from_document(row.document) for row in ctx.catalog.find("quota", cloud=name))
    return {
        " ".join(filter(None, (quota.region, quota.name))): {"used": quota.used, "limit": quota.limit} for quota in rows
    }


def _merged(info: CloudInfo, answer: CloudInfo | None) -> CloudInfo:
    """Return what the configuration says of a cloud together with its answer."""
    if answer is None:
        return info
    return answer.with_(cloud=info.name, provider=info.provider, default=info.default, active=info.active)


@verb("cloud", "roles", example="cms cloud roles")
def roles(ctx: Context) -> list[dict[str, Any]]:
    """Show what each kind of cloud can do."""
    from cloudms.clouds.roles import installed, role_table

    kinds, broken = installed()
    for kind, reason in broken.items():
        ctx.warn(f"clouds of kind '{kind}' cannot be opened: {reason}")
    return role_table(kinds)
