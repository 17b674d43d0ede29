"""Names: unique over all clouds and processes, because each is reserved in the catalog before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from cloudms import names
from cloudms.context import Context
from cloudms.engine.process import alive, this_process
from cloudms.errors import Exists


def reserve(ctx: Context, name: str, token: str, *, cloud: str, exact: bool, kind: str = "vm") -> str:
    """Reserve `name` for `token`, or, unless `exact`, the next free name, and return it. Raises: Exists.

    Each `kind` of noun has names of its own.
    """
    for candidate in _candidates(name):
        if _take(ctx, candidate, token, cloud, kind):
            return candidate
        if exact:
            free = next(c for c in _candidates(name) if ctx.catalog.get(_names(kind), c) is None)
            raise Exists(f"the name '{name}' is taken", hint=f"--name {free} is free")
    raise AssertionError("names never end")


def new_token(ctx: Context) -> str:
    """Return a creation token: 8 hex digits of this catalog and 24 that are random.

    The first part tells a sweep whether a thing without a row was made with this catalog or with another one.
    """
    return catalog_id(ctx) + os.urandom(12).hex()


def catalog_id(ctx: Context) -> str:
    """Return the 8 hex digits that name this catalog, chosen when it is first asked."""
    ctx.catalog.insert("meta", "catalog", {"name": os.urandom(4).hex()})
    stored = ctx.catalog.get("meta", "catalog")
    return str(stored.document["name"]) if stored else ""


def release(ctx: Context, name: str, token: str, *, kind: str = "vm") -> None:
    """Give a name back, if `token` holds it."""
    stored = ctx.catalog.get(_names(kind), name)
    if stored and stored.document["token"] == token:
        ctx.catalog.delete(_names(kind), [name])


def _names(kind: str) -> str:
    """Return under which kind of document names are reserved."""
    return "name" if kind == "vm" else f"{kind}-name"


def move(ctx: Context, old: str, new: str, token: str, *, cloud: str) -> None:
    """Reserve `new` for the VM that holds `old`; the old name is given back by the caller. Raises: Exists."""
    if old != new:
        reserve(ctx, names.valid(new), token, cloud=cloud, exact=True)


def default_name(ctx: Context, cloud: str) -> str:
    """Return a new name from the pattern of the configuration; the counter in it is used up."""
    from cloudms.config import Counter

    pattern, _values = ctx.config.naming(cloud)
    return _patterned(ctx, cloud, Counter().incr() if "{counter" in pattern else 0)


def next_names(ctx: Context, cloud: str, count: int) -> list[str]:
    """Return the `count` names that `default_name` would give now, for a plan: nothing is used up."""
    from cloudms.config import Counter

    first = Counter().get() + 1
    return [_patterned(ctx, cloud, number) for number in range(first, first + count)]


def _patterned(ctx: Context, cloud: str, number: int) -> str:
    pattern, values = ctx.config.naming(cloud)
    return names.valid(names.render(pattern, {**values, "counter": number}))


def free_names(ctx: Context, base: str, count: int) -> list[str]:
    """Return `count` names that are free now, for a plan; they are reserved only when the plan is executed."""
    return names.series(base, count, lambda name: ctx.catalog.get("name", name) is not None)


def _candidates(name: str) -> Iterator[str]:
    while True:
        yield name
        name = names.series(name, 1, name.__eq__)[0]


def _take(ctx: Context, name: str, token: str, cloud: str, kind: str) -> bool:
    document = {"name": name, "token": token, "cloud": cloud, "process": this_process(), "at": ctx.clock.now()}
    while not ctx.catalog.insert(_names(kind), name, document):
        stored = ctx.catalog.get(_names(kind), name)
        if stored is None:
            continue
        if stored.document["token"] == token:
            return True
        if not abandoned(ctx, stored.document, kind):
            return False
        ctx.catalog.replace(_names(kind), name, document, version=stored.version)
    return True


def abandoned(ctx: Context, document: Mapping[str, object], kind: str = "vm") -> bool:
    """Whether nothing has a reserved name and its process is gone: it was killed while booting or renaming."""
    if alive(str(document["process"])):
        return False
    holder = ctx.catalog.get(kind, str(document["token"]))
    return holder is None or holder.document["name"] != document["name"]
