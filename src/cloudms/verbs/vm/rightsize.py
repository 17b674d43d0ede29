"""`cms vm rightsize`: the flavor that VMs should have, by what they used; `--apply` gives it to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cloudms import units
from cloudms.clock import age, iso
from cloudms.clouds.base import Metrics, MetricsHistory, Resize
from cloudms.context import Context
from cloudms.engine import Listing, Plan
from cloudms.engine.refresh import each, list_vms
from cloudms.engine.rightsize import KEEP, Suggestion, candidates, suggest
from cloudms.engine.samples import Policy, Sample
from cloudms.engine.select import vms
from cloudms.engine.sizes import Sizes
from cloudms.engine.usage import by_cloud, watch
from cloudms.errors import CloudmsError, ConfigError, Interrupted, Invalid, Unsupported
from cloudms.model import Origin, Step, Vm, VmState
from cloudms.record import Record
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames
from cloudms.verbs.vm.resize import resize

_PAST_S = 7 * 86400.0
"""The window on clouds that keep what they measured."""
_LIVE_S = 60.0
"""The window on clouds that are looked at now: a person waits for it."""
_RESIZES = ("vm.resize", "vm.revert")
"""Actions after which a VM may have another flavor than what was measured before is told in."""


class Asked(Record):
    """How is measured: `window` in seconds (0: as usual on each cloud), `interval` between two looks, the policy."""

    window: float
    interval: float
    policy: Policy

    @property
    def live(self) -> float:
        """Return the seconds for which a cloud is looked at that keeps no history."""
        return self.window or _LIVE_S

    @property
    def past(self) -> float:
        """Return the seconds for which a cloud is asked that keeps a history."""
        return self.window or _PAST_S


class Measured(Record):
    """What is known of a VM: `samples` of the last `window` seconds; `resized` is when it got its flavor meanwhile."""

    samples: Sequence[Sample] = ()
    window: float = 0.0
    resized: float | None = None


@verb("vm", "rightsize", changes=True, columns=Suggestion.columns, example="cms vm rightsize web[1-3] --window 30d")
def rightsize(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    apply: Annotated[bool, Doc("resize what can be; otherwise the suggestions are only listed")] = False,
    window: Annotated[
        str | None, Doc("how long they are measured: 7d of history, 60s where the cloud keeps none")
    ] = None,
    interval: Annotated[float, Doc("seconds between two looks where the cloud keeps no history")] = 2.0,
    target: Annotated[float | None, Doc("percent of its vCPUs that a VM may use 95 % of the time")] = None,
) -> Plan | Listing:
    """Suggest the flavor that VMs should have, those named or all of yours, with what it saves and how risky it is.

    What they used is asked for where their cloud keeps it, and measured now elsewhere. With --apply they are resized,
    as vm resize does it, so that vm revert brings the old flavor back; protected VMs, those of others and those that
    are off are left alone.
    """
    asked = Asked(window=_seconds(window), interval=interval, policy=_policy(ctx, target))
    found, failed = _chosen(ctx, names, cloud or "", label)
    try:
        rows = list(_suggestions(ctx, found, asked, failed))
    except KeyboardInterrupt:
        raise Interrupted(
            "stopped while measuring; nothing was changed", hint="a shorter --window waits less"
        ) from None
    if apply:
        return _plan(ctx, rows, found, failed)
    _tell_sum(ctx, rows)
    return Listing(items=tuple(rows), failed=failed, fetched=ctx.clock.now())


def _seconds(window: str | None) -> float:
    if window is None:
        return 0.0
    seconds = units.duration(window)
    if seconds <= 0:
        raise Invalid("--window must be more than 0 seconds", hint="for instance --window 60s, or 30d of history")
    return seconds


def _policy(ctx: Context, target: float | None) -> Policy:
    """Return what is judged by: the option, else the setting `rightsize.target`. Raises: Invalid, ConfigError."""
    usual = Policy()
    value = ctx.config.get("rightsize.target") if target is None else target
    try:
        percent = usual.target if value in (None, "") else float(str(value))
    except ValueError:
        percent = 0.0
    if 0 < percent < usual.starved:
        return usual.with_(target=percent)
    text = f"is not a percentage above 0 and below {usual.starved:g}"
    if target is None:
        raise ConfigError(f"rightsize.target {text}: {value!r}", hint="cms set rightsize.target=70")
    raise Invalid(f"--target {text}: {target:g}", hint="for instance --target 60")


def _chosen(
    ctx: Context, names: Sequence[str], cloud: str, label: dict[str, str] | None
) -> tuple[list[Vm], dict[str, Any]]:
    """Return the VMs that are named, or all but those of others, and the clouds that do not answer."""
    if names or label:
        found = vms(ctx, names, cloud=cloud, labels=label)
        for vm in found:
            if not _way(ctx, vm):
                raise Unsupported(
                    f"cloud '{vm.cloud}' does not tell what {vm.name} uses",
                    hint="cms cloud roles shows which clouds do",
                )
        return found, {}
    listing = list_vms(ctx, ctx.cloud_names(cloud), fresh=True)
    every = [vm for vm in listing.items if isinstance(vm, Vm) and vm.cloud not in listing.failed]
    mine = [vm for vm in every if vm.origin is not Origin.FOREIGN]
    if len(mine) < len(every):
        others = len(every) - len(mine)
        ctx.note(f"{'1 VM' if others == 1 else f'{others} VMs'} of others left out: name what is to be looked at")
    return mine, dict(listing.failed)


def _way(ctx: Context, vm: Vm) -> type[Metrics] | type[MetricsHistory] | None:
    """Return the role by which a VM is measured, or None."""
    opened = ctx.cloud(vm.cloud)
    return next((role for role in (MetricsHistory, Metrics) if not opened.supports(role, vm)), None)


def _suggestions(ctx: Context, found: Sequence[Vm], asked: Asked, failed: dict[str, Any]) -> Iterator[Suggestion]:
    running = [vm for vm in found if vm.state is VmState.RUNNING]
    sizes = Sizes(ctx, by_cloud(running))
    measured = _measured(ctx, running, asked, failed)
    for vm in (vm for vm in found if vm.cloud not in failed):
        if vm.state is not VmState.RUNNING:
            yield _row(ctx, vm).with_(reason=f"{_held(ctx, vm)}: only what runs is measured")
        elif _way(ctx, vm) is None:
            yield _row(ctx, vm).with_(reason="its cloud does not tell what it uses")
        else:
            yield _judged(ctx, vm, measured.get(vm.key, Measured()), sizes, asked.policy)


def _row(ctx: Context, vm: Vm) -> Suggestion:
    return Suggestion(
        name=vm.name, cloud=vm.cloud, id=vm.id, region=vm.region, labels=vm.labels, flavor=vm.flavor,
        held=_held(ctx, vm), fetched=ctx.clock.now(),
    )  # fmt: skip


def _judged(ctx: Context, vm: Vm, known: Measured, sizes: Sizes, policy: Policy) -> Suggestion:
    flavors, samples = sizes.of(vm), known.samples
    likely = candidates(vm, samples, flavors, policy, known.window)
    found = suggest(vm, samples, sizes.priced(vm, flavors, likely), policy, window=known.window)
    told = [found.reason]
    if known.resized is not None:
        told.append(f"what was measured before {iso(known.resized)}, when it was resized, does not count")
    held = _held(ctx, vm) if found.suggestion != KEEP else ""
    if held:
        told.append(f"--apply leaves it alone, since {held}")
    return found.with_(held=held, reason="; ".join(told), fetched=ctx.clock.now())


def _held(ctx: Context, vm: Vm) -> str:
    """Return why a VM is not resized by itself, or an empty string."""
    if vm.origin is Origin.FOREIGN:
        return f"it was not made by cloudms (cms vm adopt {vm.name})"
    if vm.protected:
        return f"it is protected (cms vm unprotect {vm.name})"
    if vm.state is not VmState.RUNNING:
        return f"it is {vm.state}"
    return ctx.cloud(vm.cloud).supports(Resize, vm)


def _measured(ctx: Context, running: Sequence[Vm], asked: Asked, failed: dict[str, Any]) -> dict[str, Measured]:
    """Return what is known of running VMs by their key: from history where there is one, else by looking now."""
    ways = {vm.key: _way(ctx, vm) for vm in running}
    live = [vm for vm in running if ways[vm.key] is Metrics]
    if live:
        _check(asked)
    found = _history(ctx, [vm for vm in running if ways[vm.key] is MetricsHistory], asked.past, failed)
    seen = watch(ctx, live, asked.live, asked.interval, failed) if live else {}
    return found | {key: Measured(samples=samples, window=asked.live) for key, samples in seen.items()}


def _check(asked: Asked) -> None:
    """Refuse a live window that cannot bring enough samples. Raises: Invalid."""
    if asked.interval <= 0:
        raise Invalid("--interval must be more than 0 seconds", hint="for instance --interval 2")
    count, least = round(asked.live / asked.interval), asked.policy.least_samples
    if count < least:
        raise Invalid(
            f"{age(asked.live)} with a look every {asked.interval:g} s are {count} samples, and {least} are the least",
            hint=f"for instance --window {least * asked.interval:g}s",
        )


def _history(ctx: Context, found: Sequence[Vm], seconds: float, failed: dict[str, Any]) -> dict[str, Measured]:
    """Ask clouds for what VMs used, all at once; what was measured of another flavor is left out."""
    there = by_cloud(found)
    told: dict[str, Measured] = {}

    def one(name: str) -> None:
        opened: Any = ctx.cloud(name)
        some = there[name]
        count = "1 VM has" if len(some) == 1 else f"{len(some)} VMs have"
        ctx.progress(name, f"asking what {count} used in {age(seconds)}")
        try:
            samples = opened.history(some, seconds)
        except CloudmsError as error:
            failed[name] = {**error.to_public(), "cloud": name}
            return
        told.update({vm.key: _since(ctx, vm, samples.get(vm.key, ()), seconds) for vm in some})

    each(list(there), one)
    return told


def _since(ctx: Context, vm: Vm, samples: Sequence[Sample], seconds: float) -> Measured:
    """Return what counts of a history: percents of the vCPUs that a VM had before a resize say nothing of now."""
    rows = ctx.catalog.find("event", cloud=vm.cloud, name=vm.name, newest=True)
    resized = next((row.document["at"] for row in rows if row.document["action"] in _RESIZES), 0.0)
    kept = [sample for sample in samples if not sample.get("at", 0.0) < resized]
    return Measured(samples=kept, window=seconds, resized=resized if len(kept) < len(samples) else None)


def _tell_sum(ctx: Context, rows: Sequence[Suggestion]) -> None:
    """Say what all suggestions save together, and how old the prices are."""
    sums: dict[str, list[Suggestion]] = {}
    for row in rows:
        if row.saving_per_hour is not None and row.currency:
            sums.setdefault(row.currency, []).append(row)
    for currency, some in sums.items():
        hour, month = (sum(getattr(row, name) or 0.0 for row in some) for name in _SAVINGS)
        asked = min((row.price_fetched for row in some if row.price_fetched is not None), default=None)
        when = "" if asked is None else f", by prices of {(iso(asked) or '')[:10]} ({age(ctx.clock.now() - asked)} old)"
        ctx.note(f"together this saves {hour:.4g} {currency} per hour, {month:.2f} per month{when}")


_SAVINGS = ("saving_per_hour", "saving_per_month")


def _plan(ctx: Context, rows: Sequence[Suggestion], found: Sequence[Vm], failed: dict[str, Any]) -> Plan:
    """Return the plan that resizes what can be; what is left alone is told with its reason."""
    for name, error in failed.items():
        ctx.warn(f"cloud '{name}' did not answer: {error['message']}")
    targets = {(vm.cloud, vm.id, vm.name): vm for vm in found}
    steps, told = list[Step](), list[str]()
    for row in rows:
        if row.suggestion == KEEP or row.held:
            told.append(f"{row.name} is left as it is: {row.reason}")
            continue
        vm = targets[row.cloud, row.id, row.name]
        try:
            part: Plan = resize(ctx, vm.token or vm.id or vm.name, row.suggestion, cloud=vm.cloud)
        except CloudmsError as error:
            told.append(f"{row.name} is left as it is: {error.message}")
            continue
        steps += part.steps
        told += [f"{row.name} from {row.flavor} to {row.suggestion}, risk {row.risk}: {row.reason}", *part.notes]
    count = "1 VM" if len(steps) == 1 else f"{len(steps)} VMs"
    return Plan(
        verb="vm rightsize",
        summary=f"resize {count}" if steps else "resize nothing",
        steps=tuple(steps),
        question=f"Resize {count}? Each may restart; cms vm revert brings the old flavor back." if steps else "",
        notes=tuple(dict.fromkeys(told)),
    )
