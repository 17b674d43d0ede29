"""`cms scaler simulate`: a day of a group in seconds, to compare policies by cost and latency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cloudms.context import Context
from cloudms.errors import Invalid, NoCapacity
from cloudms.scaling import compare, store, traces
from cloudms.scaling.file import read
from cloudms.scaling.simulation import Simulated
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import Trace
from cloudms.scaling.world import Machine
from cloudms.units import duration
from cloudms.verb import Doc, File, Names, verb

Shape = Literal["day", "steps", "spike", "ramp", "flat"]
MOST_LOOKS = 60_000_000
"""Measurements of members that one simulation may have: half a minute to two minutes of a processor."""
Kind = Literal["threshold", "target", "steps", "schedule", "queue", "predictive", "fixed"]


@verb(
    "scaler",
    "simulate",
    columns=Simulated.columns,
    example="cms scaler simulate day --policy target --policy predictive --plot cost.svg",
)
def simulate(
    ctx: Context,
    load: Annotated[Shape, Doc("shape of the load over a day")] = "day",
    *,
    trace: Annotated[Path | None, Doc("CSV file of the load instead: time, requests per second"), File()] = None,
    policy: Annotated[list[Kind] | None, Doc("kind of policy to simulate; all of them without it")] = None,
    file: Annotated[Path | None, Doc("YAML file of `group policy set` to simulate as well"), File()] = None,
    group: Annotated[list[str] | None, Doc("group whose policy to simulate as well"), Names("group")] = None,
    members: Annotated[int, Doc("members that the height of the load needs")] = 20,
    days: Annotated[int, Doc("days; the last one counts, and on those before it policies learn")] = 2,
    step: Annotated[str, Doc("time from look to look, such as 15s")] = "1m",
    capacity: Annotated[float, Doc("requests per second that a member can serve")] = 10.0,
    service: Annotated[float, Doc("seconds that a request takes by itself")] = 0.1,
    boot: Annotated[str, Doc("time that a new member takes to come up")] = "30s",
    resume: Annotated[str, Doc("time that a member on standby takes to come back")] = "1s",
    price: Annotated[float, Doc("price of a member per hour")] = 0.1,
    objective: Annotated[float, Doc("seconds within which a request is to be answered")] = 1.0,
    seed: Annotated[int, Doc("number that decides what is random")] = 1,
    plot: Annotated[
        Path | None, Doc("SVG file to draw: cost against latency, or the days of a single policy"), File(write=True)
    ] = None,
) -> list[Simulated]:
    """Simulate groups on the same load, and compare what they cost with what the requests suffer.

    The decisions are those of the real loop, on a simulated clock and with machines that are only thought of; no cloud
    is asked. `fixed` is a group of as many members as the height of the load needs, all the time. Latency is estimated:
    the time a request takes by itself, the queue before it, and the wait for a free member.
    """
    machine = _machine(capacity, service, boot, resume, price)
    if not 1 <= members <= 10_000:
        raise Invalid(f"{members} members cannot be simulated", hint="choose 1 to 10000")
    if objective <= 0:
        raise Invalid("the objective is no time", hint="for instance: --objective 0.5")
    found_load = _load(load, trace, members * capacity * compare.USED / 100, days, _step(step), seed)
    specs = {**_kinds(policy, machine, members, alone=bool(file or group)), **_own(ctx, file, group)}
    _check_work(len(specs) * len(found_load.rates) * members)
    found = compare.run(specs, found_load, machine, objective=objective, seed=seed)
    results = [result for result, _moments in found.values()]
    if plot is not None:
        if len(found) == 1:
            ((name, (_result, moments)),) = found.items()
            text = compare.story(name, specs[name], moments, found_load)
        else:
            text = compare.plot(results, found_load)
        _write(plot, text)
        ctx.note(f"drawn to {plot}")
    return results


def _check_work(looks: int) -> None:
    """Refuse what would keep a processor busy for minutes. Raises: Invalid."""
    if looks > MOST_LOOKS:
        hint = "choose fewer members, days or policies, or longer steps"
        raise Invalid(f"{looks / 1e6:.0f} million measurements take minutes to simulate", hint=hint)


def _machine(capacity: float, service: float, boot: str, resume: str, price: float) -> Machine:
    for word, value in (("capacity", capacity), ("service", service)):
        if not 0 < value < 1e9:
            raise Invalid(f"--{word} is {value:g}", hint=f"it is more than 0, for instance: --{word} 0.5")
    if not 0 <= price < 1e9:
        raise Invalid(f"--price is {price:g}", hint="0 or more per hour")
    slots = max(round(capacity * service), 1)
    return Machine(
        capacity=capacity, service=service, slots=slots, boot=duration(boot), resume=duration(resume), price=price
    )


def _step(text: str) -> float:
    step = duration(text)
    if not 1 <= step <= 3600:
        raise Invalid(f"'{text}' is no time from look to look", hint="1s to 1h, for instance: --step 15s")
    return step


def _load(load: str, file: Path | None, most: float, days: int, step: float, seed: int) -> Trace:
    """Return the load of a file, or of a shape whose height is `most` requests per second."""
    if file is not None:
        return traces.read(file, step=step)
    if not 1 <= days <= 28:
        raise Invalid(f"{days} days cannot be simulated", hint="choose 1 to 28")
    return traces.shaped(load, most, days=days, step=step, seed=seed)


def _kinds(kinds: list[Kind] | None, machine: Machine, members: int, *, alone: bool) -> dict[str, ScalingSpec]:
    """Return the usual specification of each kind; of all of them when none is named and nothing stands `alone`."""
    ordinary = compare.ordinary(machine, members)
    return {kind: ordinary[kind] for kind in dict.fromkeys(kinds or (() if alone else ordinary))}


def _own(ctx: Context, file: Path | None, group: list[str] | None) -> dict[str, ScalingSpec]:
    """Return the specifications of a file and of groups. Raises: ConfigError, NotFound."""
    found = {name: store.find(ctx, name).settings() for name in dict.fromkeys(group or ())}
    return found | ({file.stem: read(file)} if file else {})


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NoCapacity(f"cannot write {file}: {error.strerror}", hint="choose another place") from None
