"""The configuration file: look at it, check it, change one value of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from cloudms import paths, registry
from cloudms.config import Config, Finding
from cloudms.context import Context, not_found
from cloudms.engine import Plan, Work, action
from cloudms.engine.refresh import event
from cloudms.errors import Invalid
from cloudms.model import Noun, Setting, Step
from cloudms.verb import LOCAL, Doc, verb
from cloudms.verbs.settings import pairs, shown


@verb("config", "path", doors=LOCAL, example="cms config path")
def path(ctx: Context) -> str:
    """Print the name of the configuration file, which may not exist yet."""
    return str(ctx.config.path or paths.home() / "cloudmesh.yaml")


@verb("config", "cat", doors=LOCAL, example="cms config cat -o yaml")
def cat(ctx: Context) -> dict[str, Any]:
    """Show the configuration file as it is written, with ****** in the place of secrets."""
    return ctx.config.masked()


@verb("config", "get", doors=LOCAL, example="cms config get default.cloud")
def get(
    ctx: Context, key: Annotated[str, Doc("dotted key, such as cloud.aws.default.image, or a section")]
) -> dict[str, Any] | list[Any] | str:
    """Show the value of a key of the configuration, as it is in effect; secrets show as ******."""
    from cloudms.config.tree import leaves

    value = shown(ctx.config.get(key))
    if value is None:
        known = [".".join(keys).removeprefix("cloudmesh.") for keys, _ in leaves(ctx.config.masked())]
        raise not_found("key", key, known, "cms config cat shows them")
    if isinstance(value, dict | list):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


@verb("config", "set", changes=True, doors=LOCAL, columns=Setting.columns, example="cms config set default.cloud=local")
def set_(
    ctx: Context,
    words: Annotated[list[str], Doc("KEY=VALUE with a dotted key; null empties it")],
) -> Plan:
    """Write values into the configuration file and change nothing else in it, comments included.

    A secret is not written in clear: give env:NAME, file:PATH or keyring:SERVICE/USER, which says where it is.
    """
    changes = pairs(words, "cms config set cloud.aws.default.image=ami-1")
    for key, value in changes.items():
        _check(key, value)
    summary = ", ".join(f"{key} = {value}" for key, value in changes.items())
    steps = tuple(
        Step(action="config.set", cloud="", target=key, params={"value": typed(value)})
        for key, value in changes.items()
    )
    return Plan(verb="config set", summary=f"write {summary} into {path(ctx)}", steps=steps)


def _check(key: str, value: str) -> None:
    """Refuse a secret in clear: it would stand in the shell's history and in the record of the operation."""
    from cloudms.config.tree import is_clear

    if is_clear(tuple(key.removeprefix("cloudmesh.").split(".")), value):
        raise Invalid(
            f"{key} is a secret and is not written in clear",
            hint=f"cms config set {key}=env:NAME (or file:PATH, keyring:SERVICE/USER) says where it is",
        )


def typed(text: str) -> str | int | bool | None:
    """Return a truth, a whole number or null as such, and any other text as it is."""
    words: dict[str, bool | None] = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    return int(text) if text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < 16 else text


@action("config.set")
def _set(work: Work) -> Noun:
    ctx, key, value = work.ctx, work.step.target, work.step.params["value"]
    for finding in ctx.config.set(key, value):
        ctx.warn(f"{finding.message}; {finding.hint}" if finding.hint else finding.message)
    setting = Setting(name=key, value=value, source=path(ctx))
    ctx.catalog.put("event", {}, events=[event(ctx, "config.set", setting, f"set to {value}", work.operation)])
    return setting


def findings(ctx: Context) -> list[Finding]:
    """Return what the file as it is now gives reason to say; a shell may have read it long ago."""
    now = Config(ctx.config.path, kinds=ctx.config.kinds, environ=ctx.config.environ, clock=ctx.clock)
    return now.check(registry.index().reserved())


@verb(
    "config",
    "check",
    streams=True,
    doors=LOCAL,
    columns=("level", "file", "line", "message", "hint"),
    example="cms config check",
)
def check(ctx: Context) -> Iterator[dict[str, Any]]:
    """Say what is wrong, odd or unused in the configuration, with file and line, the worst first."""
    found = findings(ctx)
    for finding in found:
        yield finding.to_public()
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        raise Invalid(
            f"the configuration has {len(errors)} {'error' if len(errors) == 1 else 'errors'}: {errors[0].message}",
            hint=errors[0].hint,
        )
