"""Names: unique over all clouds and processes, because each is reserved in the catalog before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence

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


def reserve_many(ctx: Context, wanted: Mapping[str, str], *, clouds: Mapping[str, str]) -> dict[str, str]:
    """Reserve names by token in one write, the next free one where a name is taken, and return them by token.

    Parameters: `clouds`, by token where the thing stands.
    """
    process = this_process()
    asked = {name: _reservation(ctx, name, token, clouds[token], process) for token, name in wanted.items()}
    got = set(ctx.catalog.insert_many("name", asked))
    mine = {token for token, name in wanted.items() if name in got and asked[name]["token"] == token}
    return {
        token: name if token in mine else reserve(ctx, name, token, cloud=clouds[token], exact=False)
        for token, name in wanted.items()
    }


def release_many(ctx: Context, held: Mapping[str, str]) -> None:
    """Give names by token back, those that these tokens hold."""
    found = ((token, name, ctx.catalog.get("name", name)) for token, name in held.items())
    ctx.catalog.delete("name", [name for token, name, row in found if row and row.document["token"] == token])


def release_all(ctx: Context, tokens: Collection[str]) -> None:
    """Give back whatever names these tokens hold, when it is not known which they got."""
    rows = ctx.catalog.find("name")
    ctx.catalog.delete("name", [row.document["name"] for row in rows if row.document["token"] in tokens])


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


def default_names(ctx: Context, clouds: Sequence[str], *, use: bool) -> list[str]:
    """Return a new name from the pattern of the configuration for each of `clouds`, in their order.

    With `use` the numbers of the counter in it are used up; a plan only looks at those that come next.
    """
    from cloudms.config import Counter

    patterns = {cloud: ctx.config.naming(cloud) for cloud in dict.fromkeys(clouds)}
    if all("{counter" not in pattern for pattern, _values in patterns.values()):
        bases = [names.valid(names.render(*patterns[cloud])) for cloud in clouds]
        free = {base: iter(free_names(ctx, base, bases.count(base))) for base in dict.fromkeys(bases)}
        return [next(free[base]) for base in bases]
    counter = Counter(clock=ctx.clock)
    first = (counter.incr(by=len(clouds)) - len(clouds) if use else counter.get()) + 1
    numbered = [(*patterns[cloud], number) for number, cloud in enumerate(clouds, first)]
    return [names.valid(names.render(text, {**values, "counter": number})) for text, values, number in numbered]


def free_names(ctx: Context, base: str, count: int, but: Collection[str] = ()) -> list[str]:
    """Return `count` names that are free now and not in `but`, for a plan; they are reserved when it is executed."""
    return names.series(base, count, lambda name: name in but or ctx.catalog.get("name", name) is not None)


def _candidates(name: str) -> Iterator[str]:
    while True:
        yield name
        name = names.series(name, 1, name.__eq__)[0]


def _take(ctx: Context, name: str, token: str, cloud: str, kind: str) -> bool:
    document = _reservation(ctx, name, token, cloud, this_process())
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


def _reservation(ctx: Context, name: str, token: str, cloud: str, process: str) -> dict[str, object]:
    return {"name": name, "token": token, "cloud": cloud, "process": process, "at": ctx.clock.now()}


def abandoned(ctx: Context, document: Mapping[str, object], kind: str = "vm") -> bool:
    """Whether nothing has a reserved name and its process is gone: it was killed while booting or renaming."""
    if alive(str(document["process"])):
        return False
    holder = ctx.catalog.get(kind, str(document["token"]))
    return holder is None or holder.document["name"] != document["name"]
