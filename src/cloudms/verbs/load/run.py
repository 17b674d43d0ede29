"""`cms load run`: load on a service, shown while it runs."""

from __future__ import annotations

import math
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from random import Random
from typing import Annotated

from cloudms.context import Context
from cloudms.errors import CloudmsError, Interrupted, Invalid, Partial
from cloudms.units import duration
from cloudms.verb import LOCAL, Doc, File, Names, verb
from cloudms.verbs.load.aim import at
from cloudms.verbs.load.check import proof
from cloudms.verbs.workload.place import StoreUrl, TokenFile
from cloudms.workload import profile as shapes
from cloudms.workload.ledger import Ledger, told
from cloudms.workload.live import Live
from cloudms.workload.load import ClosedLoop, Load, OpenLoop
from cloudms.workload.meter import Meter
from cloudms.workload.nouns import LoadRow, Verdict
from cloudms.workload.sending import Aim, Kind, Sender

_TICK_S = 0.25
_USUAL_S = 60.0
_WIDEST = 4096


@verb(
    "load",
    "run",
    streams=True,
    doors=LOCAL,
    columns=LoadRow.columns,
    example="cms load run --group web --rate 5 --for 1m",
)
def run(
    ctx: Context,
    *,
    group: Annotated[str | None, Doc("send it to the balancer of this group"), Names("group")] = None,
    url: Annotated[str | None, Doc("or to this address; plates go to /plate below it")] = None,
    as_: Annotated[Kind, Doc("what is sent: plates, or bare requests for any other service")] = "plate",
    rate: Annotated[float | None, Doc("requests per second")] = None,
    delta: Annotated[float | None, Doc("or seconds from one request to the next; 1 when nothing is said")] = None,
    steps: Annotated[
        str | None, Doc("or rates that change at once: RATE:DURATION,..., such as 5:60,20:2m,5:60")
    ] = None,
    ramp: Annotated[str | None, Doc("or a rate that grows or falls evenly: FIRST:LAST, such as 1:50")] = None,
    day: Annotated[str | None, Doc("or a day's curve: NIGHT:NOON, such as 2:40, in as long as --for says")] = None,
    closed: Annotated[
        int | None, Doc("or so many users, each of whom waits for an answer, and then --delta, before the next request")
    ] = None,
    for_: Annotated[str | None, Doc("how long: 90s, 15m, or never (until Ctrl-C); 1m when nothing says it")] = None,
    count: Annotated[int | None, Doc("end after so many requests")] = None,
    scatter: Annotated[bool, Doc("let requests come at random moments of that rate, not evenly spaced")] = False,
    every: Annotated[float, Doc("seconds from one line to the next")] = 5.0,
    timeout: Annotated[float, Doc("seconds that a try may take")] = 10.0,
    give_up: Annotated[float, Doc("seconds after which a request is sent no more; before, with the same id")] = 60.0,
    width: Annotated[int, Doc("the most requests that are on their way at once, of an open loop")] = 256,
    ledger: Annotated[
        Path | None, Doc("file to write what became of each request (cms load check)"), File(write=True)
    ] = None,
    store: StoreUrl = None,
    token_file: TokenFile = None,
    seed: Annotated[int | None, Doc("number that the same plates come from")] = None,
) -> Iterator[LoadRow]:
    """Send requests to a service and show how it answers, until the time is over or Ctrl-C.

    With a rate the loop is open: requests come when they are due, and latency counts from that moment, also when the
    service stands still. What is not answered is sent again with the same id. With --ledger each request is written
    down, and at the end compared with the store. It ends with exit code 12 when requests were given up.
    """
    _check(every=every, timeout=timeout, give_up=give_up, width=width)
    to = at(ctx, url=url, group=group, kind=as_)
    shape = _shape(rate=rate, delta=delta, steps=steps, ramp=ramp, day=day, closed=closed)
    length, number = _length(for_, shape, count), float(count or math.inf)
    profile = None if closed is not None else _profile(shape, length)
    random = Random(seed)  # noqa: S311 (plates are no secrets)
    come = Random(random.getrandbits(64)) if scatter else None  # noqa: S311 (moments are no secrets)
    name, meter, aim = secrets.token_hex(4), Meter(every), Aim(to, as_, timeout)
    book = Ledger(ledger, run=name, url=to.text, plates=as_ == "plate")
    sender = Sender(aim, clock=ctx.clock, meter=meter, ledger=book, give_up=give_up)
    load: Load
    if profile is None:
        think = _seconds(delta or 0.0)
        load = ClosedLoop(
            sender, closed or 1, clock=ctx.clock, run=name, random=random, length=length, number=number, think=think
        )
    else:
        load = OpenLoop(
            sender,
            profile,
            clock=ctx.clock,
            run=name,
            random=random,
            length=length,
            number=number,
            width=width,
            scatter=come,
        )
    try:
        stopped = yield from _followed(ctx, load, meter, seconds=timeout + 1)
    finally:
        book.close()
        aim.close()
    row = meter.whole(load.seconds)
    try:
        verdict = proof(ctx, ledger, store, token_file, needed=False) if ledger is not None else None
    except CloudmsError:
        yield row  # what was measured is shown, whatever keeps it from being proved
        raise
    yield row.with_(ledger=verdict.to_public() if verdict else {})
    _end(ctx, row, verdict, stopped=stopped)


def _followed(ctx: Context, load: Load, meter: Meter, *, seconds: float) -> Generator[LoadRow, None, bool]:
    """Yield the rows of a load until it has ended; return whether somebody stopped it.

    Parameters: `seconds` that a try may take, which is waited for when the load has to be left.
    """
    live = Live(meter)
    stopped = False
    load.begin()
    try:
        while not load.ended.is_set():
            try:
                load.ended.wait(_TICK_S)
                yield from meter.rows(load.now(), load.rate)
            except KeyboardInterrupt:
                stopped = _stop(ctx, load, meter, again=stopped)
            if ctx.stopping.is_set() and not stopped:
                stopped = _stop(ctx, load, meter)
            if ctx.terminal:
                ctx.progress("load", live.line(load.now(), load.rate(load.now())))
        yield from meter.rows(math.ceil(load.seconds / meter.every - 1e-9) * meter.every, load.rate)
    finally:
        load.abandon()
        load.ended.wait(seconds)
    load.check()
    return stopped


def _stop(ctx: Context, load: Load, meter: Meter, *, again: bool = False) -> bool:
    """Send no new requests; asked `again`, give up those on their way."""
    load.abandon() if again else load.stop()
    if meter.open and not again:
        ctx.progress("load", f"stopping: {meter.open} requests are on their way; Ctrl-C gives them up")
    return True


def _end(ctx: Context, row: LoadRow, verdict: Verdict | None, *, stopped: bool) -> None:
    """Tell how it went. Raises: Interrupted (it was stopped), Partial (not every request was answered once)."""
    said = told(verdict) if verdict else f"{row.answered} of {row.sent} requests were answered"
    bad = row.failed or row.open or (verdict is not None and not verdict.good)
    if bad:
        why = "; ".join(f"{reason} ({number})" for reason, number in row.reasons.items())
        raise Partial(said, hint=f"what went wrong: {why}" if why else "", details={"reasons": dict(row.reasons)})
    if stopped:
        raise Interrupted(f"the load was stopped; {said}", hint="nothing is left to do")
    ctx.note(said)


Shape = tuple[str, str | float | None]
"""Which option says how much is asked for, and its value."""


def _shape(**given: str | float | None) -> Shape:
    """Return the one option that says how much is asked for. Raises: Invalid (there are several)."""
    if given["closed"] is not None and given["delta"] is not None:
        given["delta"] = None  # then it is the time that users think
    found = [(name, value) for name, value in given.items() if value is not None]
    if len(found) > 1:
        raise Invalid(" and ".join(f"--{name}" for name, _ in found) + " say different things", hint="give one of them")
    name, value = found[0] if found else ("delta", 1.0)
    if name == "closed" and not 1 <= float(value or 0) <= _WIDEST:
        raise Invalid(f"--closed {value} is no number of users", hint=f"1 to {_WIDEST}")
    return name, value


def _length(for_: str | None, shape: Shape, count: int | None) -> float:
    """Return the seconds that a load goes on. Raises: Invalid."""
    if count is not None and count < 1:
        raise Invalid(f"--count {count} is no number of requests", hint="1 or more")
    if for_ is None:
        ends = shape[0] == "steps" or (count is not None and shape[0] not in ("ramp", "day"))
        return math.inf if ends else _USUAL_S
    return duration(for_) or math.inf


def _profile(shape: Shape, length: float) -> shapes.Profile:
    """Return what an open loop asks for over time. Raises: Invalid."""
    name, value = shape
    if name == "steps":
        return shapes.steps(str(value))
    if name == "ramp":
        return shapes.ramp(str(value), length)
    if name == "day":
        return shapes.day(str(value), length)
    number = float(value or 0.0)
    if name == "delta":
        if not _seconds(number):
            raise Invalid(f"--delta {number:g} leaves no time between requests", hint="for instance --delta 0.2")
        number = 1 / number
    return shapes.constant(number, length)


def _seconds(number: float) -> float:
    if not 0 <= number <= 86400:  # false for NaN, too
        raise Invalid(f"--delta {number:g} is no number of seconds", hint="for instance --delta 0.2")
    return number


def _check(*, every: float, timeout: float, give_up: float, width: int) -> None:
    """Refuse numbers that make no sense. Raises: Invalid."""
    for option, number, least in (("every", every, 0.1), ("timeout", timeout, 0.01), ("give-up", give_up, 0.0)):
        if not least <= number <= 86400:
            raise Invalid(f"--{option} {number:g} is no number of seconds", hint=f"{least:g} or more")
    if not 1 <= width <= _WIDEST:
        raise Invalid(f"--width {width} is not between 1 and {_WIDEST}", hint="256 is the default")
