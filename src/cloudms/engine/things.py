"""Things beside VMs (volumes, their snapshots, security groups): the row before the call, and the row after it.

What is asked for has a row with its token and no id before its cloud is called. A later run of the same operation finds
by the token what an earlier one made; a list of the cloud completes the row, or drops it when nothing came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from cloudms.clouds.base import Role, require
from cloudms.context import Context
from cloudms.engine.browse import Fetch
from cloudms.engine.plan import Work
from cloudms.engine.refresh import event, list_nouns
from cloudms.engine.reserve import release, reserve
from cloudms.errors import CloudmsError, NotFound, Timeout, Unsupported
from cloudms.model import Noun, SecGroup, Step, Volume, VolumeSnapshot

T = TypeVar("T", Volume, VolumeSnapshot, SecGroup)


def able(ctx: Context, cloud: str, role: type[Role]) -> None:
    """Refuse before any call what a cloud cannot, and name those that can. Raises: Unsupported."""
    try:
        require(ctx.cloud(cloud), role)
    except Unsupported as error:
        names = [name for name in ctx.cloud_names("all") if name != cloud and issubclass(ctx.cloud_class(name), role)]
        hint = f"these clouds can: {', '.join(names)}" if names else error.hint
        raise Unsupported(error.message, hint=hint, details=error.details) from None


def steps(action: str, nouns: Sequence[Noun], **params: Any) -> tuple[Step, ...]:
    """Return one step per noun."""
    return tuple(
        Step(action=action, cloud=noun.cloud, target=noun.name, params={"key": noun.key, **params}) for noun in nouns
    )


def ask(ctx: Context, asked: T, action: str, text: str) -> None:
    """Reserve the name of a new thing and write its row, unless an earlier attempt has. Raises: Exists."""
    if ctx.catalog.get(asked.kind, asked.key) is None:
        reserve(ctx, _held(asked), asked.token, cloud=asked.cloud, exact=True, kind=asked.kind)
        save(ctx, asked, action, text)


def made(work: Work, asked: T, call: Callable[[Any], T], text: Callable[[T], str]) -> T:
    """Call the cloud for what was asked, and store what it has made; what it refuses for good is forgotten."""
    try:
        done = call(work.ctx.cloud(work.step.cloud))
    except CloudmsError as error:
        if not error.retryable and not isinstance(error, Timeout):
            forget(work.ctx, asked, work.step.action, f"failed: {error.message}", work.operation)
        raise
    return save(work.ctx, done.with_(token=asked.token), work.step.action, text(done), work.operation)


def load(work: Work, cls: type[T]) -> tuple[Any, T]:
    """Return the cloud and the thing of a step. Raises: NotFound."""
    stored = work.ctx.catalog.get(cls.kind, work.step.params["key"])
    if stored is None:
        raise NotFound(f"{work.step.target} is gone", hint=f"cms {cls.kind.replace('_', ' ')} list")
    return work.ctx.cloud(work.step.cloud), cls.from_document(stored.document)


def changed(work: Work, before: T, after: T, text: str) -> T:
    """Store what the cloud says of a thing that was changed, under the key it has."""
    return save(work.ctx, after.with_(token=before.token), work.step.action, text, work.operation)


def gone(work: Work, cls: type[T], delete: Callable[[Any, T], None]) -> T:
    """Delete the thing of a step, and its row; what is gone already has been deleted."""
    stored = work.ctx.catalog.get(cls.kind, work.step.params["key"])
    if stored is None:
        return cls(name=work.step.target, cloud=work.step.cloud)
    thing = cls.from_document(stored.document)
    if thing.id:
        delete(work.ctx.cloud(thing.cloud), thing)
    forget(work.ctx, thing, work.step.action, "deleted", work.operation)
    return thing


def current(ctx: Context, thing: T, fetch: Fetch) -> T | None:
    """Return what its cloud says of a thing now, the record when it does not answer, None when it is gone."""
    list_nouns(ctx, thing.kind, [thing.cloud], fetch, fresh=True)
    stored = ctx.catalog.get(thing.kind, thing.key)
    return type(thing).from_document(stored.document) if stored else None


def save(ctx: Context, thing: T, action: str, text: str, operation: str = "") -> T:
    """Store a thing's row together with the event that changed it."""
    thing = thing.with_(fetched=ctx.clock.now())
    ctx.catalog.put(thing.kind, {thing.key: thing.to_document()}, events=[event(ctx, action, thing, text, operation)])
    return thing


def forget(ctx: Context, thing: T, action: str, text: str, operation: str = "") -> None:
    """Delete a thing's row and give its name back."""
    ctx.catalog.delete(thing.kind, [thing.key], events=[event(ctx, action, thing, text, operation)])
    release(ctx, _held(thing), thing.token, kind=thing.kind)


def _held(thing: T) -> str:
    """Return under what a name is reserved: on each place of a cloud anew where clouds have names of their own."""
    return "/".join((thing.cloud, thing.region, thing.name)) if isinstance(thing, SecGroup) else thing.name
