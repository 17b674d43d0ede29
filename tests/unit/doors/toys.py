"""Verbs to try the doors with: one of every kind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cloudms import errors
from cloudms.context import Context
from cloudms.engine.plan import Listing, Plan, Work, action
from cloudms.errors import NoCapacity, NotReady
from cloudms.model import Noun, Step, Vm, VmState
from cloudms.verb import LOCAL, Doc, File, Least, Names, Rest, Short, verb

WEB = Vm(
    name="web1",
    cloud="near",
    id="i-1",
    state=VmState.RUNNING,
    public_ips=("192.0.2.1", "192.0.2.2"),
    labels={"tier": "web"},
    created=1_700_000_000.0,
    raw={"secret": "raw"},
)
SILENT = NotReady("far does not answer", hint="is it up?")


@verb("toy", "list", aliases=["ls"], example="cms toy list --silent 1")
def list_(
    ctx: Context,
    *,
    silent: Annotated[int, Doc("how many clouds do not answer")] = 0,
    items: Annotated[int, Doc("how many there are")] = 2,
    cached: Annotated[bool, Doc("ask no cloud")] = False,
    cloud: Annotated[str | None, Doc("cloud to ask"), Names("cloud")] = None,
) -> Listing:
    """List toys.

    They stand in a row.

        cms toy list    shows them
    """
    silent_ones = [cloud or ctx.chosen_cloud or f"far{n}" for n in range(silent)]
    failed = {name: {**SILENT.to_public(), "cloud": name} for name in silent_ones}
    names = [WEB.with_(name=f"web{n}", cloud=cloud or "near") for n in range(1, items + 1)]
    return Listing(items=tuple(names), failed=failed, cached=cached, fetched=ctx.clock.now() - 180)


@verb("toy", "show")
def show(ctx: Context, name: Annotated[str, Doc("which toy"), Names("vm")]) -> Vm:
    """Show one toy."""
    return WEB.with_(name=name)


@verb("toy", "text")
def text(ctx: Context) -> str:
    """Say something."""
    return "one\ntwo"


@verb("toy", "nothing")
def nothing(ctx: Context) -> None:
    """Return nothing."""


@verb("toy", "data")
def data(ctx: Context) -> dict[str, Any]:
    """Return plain data."""
    return {"version": 1, "below": {"list": [1, 2], "none": None}, "on": True}


@verb("toy", "rows", columns=["name", "size"])
def rows(ctx: Context) -> list[dict[str, Any]]:
    """Return rows of plain data."""
    return [{"name": "a", "size": 2048, "more": "x"}, {"name": "b\x1b[31m", "size": None, "more": "y,z"}]


@verb("toy", "lines", streams=True)
def lines(ctx: Context, *, fail: Annotated[bool, Doc("end badly")] = False) -> Iterator[str]:
    """Say something, line by line."""
    yield "first"
    yield "second"
    if fail:
        raise NotReady("the source dried up")


@verb("toy", "wait", streams=True)
def wait(ctx: Context) -> Iterator[str]:
    """Wait for ever."""
    yield "waiting"
    while True:
        ctx.pause(60.0)


@verb("toy", "many", streams=True)
def many(ctx: Context) -> Iterator[str]:
    """Write without end."""
    while True:
        yield "x" * 1000


@verb("toy", "hang")
def hang(ctx: Context) -> str:
    """Leave a thread behind that waits for ever."""
    threading.Thread(target=threading.Event().wait).start()
    return "left"


@verb("toy", "fail")
def fail(ctx: Context, code: Annotated[str, Doc("code of the error")]) -> None:
    """Fail in a given way."""
    cls = next(c for c in errors.tree() if c.code == code)
    error = cls.__new__(cls)
    errors.CloudmsError.__init__(error, f"it is {code}", hint="do something", details={"a": 1})
    raise error


@verb("toy", "bug")
def bug(ctx: Context) -> None:
    """Stumble."""
    raise ZeroDivisionError("a secret\nof two lines")


@verb("toy", "warn")
def warn(ctx: Context) -> str:
    """Warn."""
    ctx.warn("the moon is full")
    return "ok"


@verb("toy", "types")
def types(
    ctx: Context,
    first: Annotated[str, Doc("one word")],
    others: Annotated[list[str], Doc("more words"), Names("vm")] = [],  # noqa: B006 (never changed)
    command: Annotated[list[str], Doc("a command"), Rest()] = [],  # noqa: B006 (never changed)
    *,
    number: Annotated[int, Doc("a number"), Short("n")] = 7,
    limit: Annotated[int | None, Doc("a number of things"), Least(0)] = None,
    share: Annotated[float | None, Doc("a share")] = None,
    color: Annotated[Literal["red", "green"], Doc("a colour")] = "red",
    label: Annotated[dict[str, str] | None, Doc("a label"), Short("l")] = None,
    key: Annotated[list[str] | None, Doc("a key"), Names("key")] = None,
    file: Annotated[Path | None, Doc("a file"), File()] = None,
    target: Annotated[Path | None, Doc("a file to write"), File(write=True)] = None,
    force: Annotated[bool, Doc("insist")] = False,
    check: Annotated[bool, Doc("look first")] = True,
) -> dict[str, Any]:
    """Return what was given."""
    own = dict(locals())
    del own["ctx"]
    return {name: str(value) if isinstance(value, Path) else value for name, value in own.items()}


@verb("toy", "needs")
def needs(ctx: Context, *, image: Annotated[str, Doc("an image")]) -> str:
    """Insist on an option."""
    return image


@verb("toy", "tune")
def tune(
    ctx: Context,
    words: Annotated[list[str], Doc("KEY=VALUE"), Names("setting")],
    *,
    like: Annotated[str | None, Doc("a setting"), Names("setting")] = None,
) -> str:
    """Tune a toy."""
    return " ".join(words)


@verb("toy", "build")
def build(ctx: Context, *, output: Annotated[str, Doc("a file"), Short("o")] = "x") -> str:
    """Build a toy into a file."""
    return output


@verb("toy", "sub", "deep", doors=LOCAL)
def deep(ctx: Context) -> str:
    """Lie deep."""
    return "deep"


@verb("toy", "elsewhere", doors=("rest",))
def elsewhere(ctx: Context) -> str:
    """Stand at another door."""
    return "elsewhere"


@verb("alone")
def alone(ctx: Context, word: Annotated[str, Doc("a word")] = "lonely") -> str:
    """Stand alone."""
    return word


@verb("toy", "make", changes=True, aliases=["create"], columns=["name", "state"], example="cms toy make web1 web2")
def make(
    ctx: Context,
    names: Annotated[list[str], Doc("toys to make"), Names("vm")],
    *,
    fail: Annotated[list[str] | None, Doc("those that fail")] = None,
    full: Annotated[list[str] | None, Doc("those without room")] = None,
    slow: Annotated[list[str] | None, Doc("those that wait for ever")] = None,
    gone: Annotated[bool, Doc("leave nothing behind")] = False,
    wait: Annotated[bool, Doc("wait for ever")] = False,
    sure: Annotated[bool, Doc("ask first")] = False,
) -> Plan:
    """Make toys."""
    how = {name: word for word, names_ in {"fail": fail, "full": full, "wait": slow}.items() for name in names_ or []}
    steps = tuple(
        Step(
            action="toy.make",
            cloud="",
            target=name,
            params={"how": how.get(name, "wait" if wait else "gone" if gone else "make"), "size": 3, "empty": ""},
        )
        for name in names
        if name != "none"
    )
    question = "make them all?" if sure else ""
    return Plan(verb="toy make", summary=f"make {len(steps)} toys", steps=steps, question=question, notes=("mind it",))


@action("toy.make")
def made(work: Work) -> Noun | None:
    """Make one."""
    how = work.step.params["how"]
    work.report("being painted")
    if how == "fail":
        raise NotReady(f"{work.step.target} is stuck", hint="pull")
    if how == "full":
        raise NoCapacity("the shelf is full")
    while how == "wait":
        work.ctx.pause(60.0)
    return None if how == "gone" else WEB.with_(name=work.step.target)
