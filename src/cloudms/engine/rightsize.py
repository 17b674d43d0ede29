"""Which flavor a VM should have: a judgement of what was measured, without clock, cloud or catalog.

Samples of what a VM used, the flavors it could have with their prices, and a policy become a `Suggestion` with its
reason in a sentence. What was not measured is never taken for little: too few samples keep a VM as it is, and a VM
whose use of memory is not known never gets less of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from cloudms.engine import reasons
from cloudms.engine.samples import Need, Policy, Sample, needed, summarize
from cloudms.model import Flavor, Noun, Vm

KEEP, SMALLER, CHEAPER, LARGER = "keep", "smaller", "cheaper", "larger"
HOURS_PER_MONTH = 730.0
"""Hours of a month as the clouds reckon them: a twelfth of 8760."""

_ALIKE = ("arch", "gpus", "metal")
"""Labels in which a flavor has to agree with the one it replaces: its processor, and what programs may count on."""
_GIB_OF_A_VCPU = 8
"""Memory in GiB that the clouds ask about as much for as for one vCPU; it puts flavors in order before any price."""
_ROUNDING = 1e-9


class Suggestion(Noun):
    """The flavor that a VM should have, by what it used: `suggestion` names it, or says `keep`.

    `change` is keep, smaller, cheaper or larger; `cpu_p95`, `cpu_max` and `cpu_mean` are percent of all vCPUs together,
    what a busy host denied included; `memory_peak` is MiB. `samples` were measured in `window` seconds, of which they
    cover the part `coverage`. `saving_per_hour` and `saving_per_month` (730 hours) are in `currency`, below 0 when it
    will cost more, None when a price is not known, by prices asked at `price_fetched`. `risk` is low, medium or high,
    and `caution` says why; `held` says why `--apply` leaves the VM alone.
    """

    kind: ClassVar[str] = "suggestion"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "cloud", "flavor", "suggestion", "cpu_p95", "memory_peak", "saving_per_hour", "risk", "reason",
    )  # fmt: skip

    flavor: str = ""
    suggestion: str = KEEP
    change: str = KEEP
    cpu_p95: float | None = None
    cpu_max: float | None = None
    cpu_mean: float | None = None
    memory_peak: float | None = None
    samples: int = 0
    window: float = 0.0
    coverage: float = 0.0
    saving_per_hour: float | None = None
    saving_per_month: float | None = None
    currency: str = ""
    price_fetched: float | None = None
    risk: str = ""
    caution: str = ""
    reason: str = ""
    held: str = ""


def suggest(
    vm: Vm, samples: Sequence[Sample], flavors: Sequence[Flavor], policy: Policy | None = None, *, window: float
) -> Suggestion:
    """Return the flavor that `vm` should have.

    Parameters: `samples` in any order; `flavors` of its cloud, its own among them, with the prices that are known (a
    price of 0 is one of a cloud that costs nothing); `window`, the seconds in which the samples were taken.
    """
    policy = policy or Policy()
    use = summarize(samples, window, policy)
    now = own(vm, flavors)
    found = Suggestion(
        name=vm.name, cloud=vm.cloud, id=vm.id, region=vm.region, labels=vm.labels, flavor=vm.flavor,
        cpu_p95=_rounded(use.cpu_p95), cpu_max=_rounded(use.cpu_max), cpu_mean=_rounded(use.cpu_mean),
        memory_peak=_rounded(use.memory_peak), samples=use.samples, window=window, coverage=round(use.coverage, 3),
    )  # fmt: skip
    missing = reasons.too_few(use, window, policy)
    if missing:
        return found.with_(reason=reasons.sentence(missing, reasons.left_out(use)))
    if now is None:
        return found.with_(reason=reasons.sentence(f"how large its flavor '{vm.flavor}' is, its cloud does not tell"))
    need = needed(use, now, policy)
    chosen = _chosen(now, need, flavors)
    if chosen is None:
        return found.with_(reason=reasons.sentence(reasons.why_not(use, now, need, policy), reasons.left_out(use)))
    risk, caution = reasons.risk(use, now, chosen, window)
    change = LARGER if need.starved else SMALLER if _is_smaller(chosen, now) else CHEAPER
    told = (
        reasons.why(use, now, chosen, need),
        reasons.memory(use, need),
        reasons.price(now, chosen),
        reasons.left_out(use),
    )
    return found.with_(
        suggestion=chosen.name, change=change, risk=risk, caution=caution, reason=reasons.sentence(*told),
        **_saving(now, chosen),
    )  # fmt: skip


def candidates(
    vm: Vm, samples: Sequence[Sample], flavors: Sequence[Flavor], policy: Policy, window: float
) -> list[Flavor]:
    """Return the flavors that would hold what `vm` used, the smallest first; none when too little was measured."""
    use, now = summarize(samples, window, policy), own(vm, flavors)
    if now is None or reasons.too_few(use, window, policy):
        return []
    return sorted(_fitting(now, needed(use, now, policy), flavors), key=lambda each: _size(each, now))


def own(vm: Vm, flavors: Sequence[Flavor]) -> Flavor | None:
    """Return the flavor of `vm`, when its size is known."""
    found = (each for each in flavors if vm.flavor in (each.name, each.id) and each.cloud == vm.cloud)
    return next((each for each in found if each.vcpus > 0 and each.memory_mib > 0), None)


def _fitting(now: Flavor, need: Need, flavors: Sequence[Flavor]) -> list[Flavor]:
    """Return the flavors like `now` that have what is needed, and a disk that is not smaller."""
    alike = [each for each in flavors if each.name != now.name and each.cloud == now.cloud and _is_alike(each, now)]
    return [
        each
        for each in alike
        if each.disk_gib >= now.disk_gib
        and each.vcpus >= need.vcpus - _ROUNDING
        and each.memory_mib >= need.memory_mib - _ROUNDING
    ]


def _is_alike(each: Flavor, now: Flavor) -> bool:
    outdated = each.labels.get("generation") == "previous" != now.labels.get("generation")
    same = all(each.labels.get(name, "") == now.labels.get(name, "") for name in _ALIKE)
    return same and not outdated and each.vcpus > 0 and each.memory_mib > 0


def _chosen(now: Flavor, need: Need, flavors: Sequence[Flavor]) -> Flavor | None:
    """Return the cheapest flavor that fits and is better, by its size where the price of `now` is not known."""
    found = _fitting(now, need, flavors)
    if not need.starved:
        found = [each for each in found if _is_better(each, now)]
    priced = [each for each in found if each.price_per_hour is not None] if now.price_per_hour is not None else []
    return min(priced or found, key=_rank(by_price=bool(priced)), default=None)


def _is_better(each: Flavor, now: Flavor) -> bool:
    """Whether a flavor costs less; where nothing costs anything, or nobody knows, whether it is smaller."""
    if now.price_per_hour is None:
        return _is_smaller(each, now)
    if each.price_per_hour is None:
        return False
    free = each.price_per_hour == now.price_per_hour == 0
    return each.price_per_hour < now.price_per_hour or (free and _is_smaller(each, now))


def _is_smaller(each: Flavor, now: Flavor) -> bool:
    less = each.vcpus < now.vcpus or each.memory_mib < now.memory_mib
    return less and each.vcpus <= now.vcpus and each.memory_mib <= now.memory_mib


def _rank(*, by_price: bool) -> Callable[[Flavor], tuple[float, int, int, str]]:
    def rank(each: Flavor) -> tuple[float, int, int, str]:
        return (each.price_per_hour or 0.0) if by_price else 0.0, each.memory_mib, each.vcpus, each.name

    return rank


def _size(each: Flavor, now: Flavor) -> tuple[float, bool, int, bool, str]:
    """Return what a flavor is likely to cost, for the order in which prices are asked.

    Of two of the same size, that of the same family comes first, then what has no disk inside, then what is burstable.
    """
    other = each.name.partition(".")[0] != now.name.partition(".")[0]
    whole = each.vcpus * _GIB_OF_A_VCPU + each.memory_mib / 1024
    return whole, other, each.disk_gib, each.labels.get("burst") != "yes", each.name


def _saving(now: Flavor, chosen: Flavor) -> dict[str, Any]:
    old, new = now.price_per_hour, chosen.price_per_hour
    if old is None or new is None or (old and new and now.currency != chosen.currency):
        return {}
    asked = [each.price_fetched for each in (now, chosen) if each.price_fetched is not None]
    return {
        "saving_per_hour": round(old - new, 6), "saving_per_month": round((old - new) * HOURS_PER_MONTH, 2),
        "currency": chosen.currency if new else now.currency, "price_fetched": min(asked, default=None),
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
