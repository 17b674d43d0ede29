"""Why a VM should have another flavor, or keep its own, and how risky a change is: in sentences."""

from __future__ import annotations

from cloudms.clock import age
from cloudms.engine.samples import Need, Policy, Use
from cloudms.model import Flavor

RISKS = ("low", "medium", "high")
_LONG_RUN = 20.0
"""Percent of its vCPUs that a burstable VM may use all the time without being slowed, on most types that there are."""
_MUCH_DENIED = 10.0
"""Percent of its vCPUs that a host may deny a VM before this is worth a word."""


def too_few(use: Use, window: float, policy: Policy) -> str:
    """Return why nothing can be said, or an empty string."""
    if use.samples < policy.least_samples:
        count = {0: "nothing was measured", 1: "it was measured once"}.get(use.samples, f"{use.samples} samples")
        return f"{count} in {age(window)}, and {policy.least_samples} samples are the least: no number is no load"
    if use.coverage < policy.least_coverage:
        part = f"{use.coverage * 100:.0f} % of {age(window)}"
        return f"its samples cover {part}, and {policy.least_coverage * 100:.0f} % is the least"
    return ""


def why(use: Use, now: Flavor, chosen: Flavor, need: Need) -> str:
    """Say why a VM should have the chosen flavor."""
    has = f"{chosen.name} ({_vcpus(chosen)}, {chosen.memory_mib} MiB)"
    if need.starved:
        return f"it has too little of its {' and '.join(need.starved)}: {_used(use, now)}; {has} has enough"
    return f"{_used(use, now)}: {has} is enough"


def why_not(use: Use, now: Flavor, need: Need, policy: Policy) -> str:
    """Say why a VM is best kept as it is."""
    if need.starved:
        return f"it has too little of its {' and '.join(need.starved)}: {_used(use, now)}, and no flavor has enough"
    limits = f"{policy.target:g} % of its vCPUs and {policy.memory_target:g} % of its memory"
    better = "smaller" if not now.price_per_hour else "cheaper"
    unknown = "" if use.memory_known else ", with no less memory since its use is not known,"
    return f"{_used(use, now)}: no {better} flavor{unknown} would keep it below {limits}"


def _used(use: Use, now: Flavor) -> str:
    """Say what was used of what there is."""
    cpu = f"95 % of the time it uses at most {use.cpu_p95:.3g} % of {_vcpus(now)}"
    if use.denied >= _MUCH_DENIED:
        cpu += f" (with what its busy host denied it, up to {use.denied:.0f} %)"
    if use.memory_peak is None:
        return cpu
    return f"{cpu}, and never more than {use.memory_peak:.0f} of {now.memory_mib} MiB"


def _vcpus(flavor: Flavor) -> str:
    return "1 vCPU" if flavor.vcpus == 1 else f"{flavor.vcpus} vCPUs"


def memory(use: Use, need: Need) -> str:
    """Say when memory was not known well enough to judge by."""
    if use.memory_known or "memory" in need.starved:
        return ""
    how = "is not known" if use.memory_peak is None else "was measured too rarely"
    return f"its use of memory {how}, so it gets no less of it"


def price(now: Flavor, chosen: Flavor) -> str:
    """Say which price is not known."""
    if now.price_per_hour is None:
        return "its price is not known, nor what this saves, so flavors are compared by size"
    return "" if chosen.price_per_hour is not None else "what it costs then is not known"


def left_out(use: Use) -> str:
    """Say which samples could not be used as they are."""
    parts = []
    if use.wrong:
        parts.append("1 sample was no number" if use.wrong == 1 else f"{use.wrong} samples were no numbers")
    if use.twice:
        parts.append("1 sample came twice" if use.twice == 1 else f"{use.twice} samples came twice")
    return " and ".join(parts)


def risk(use: Use, now: Flavor, chosen: Flavor, window: float) -> tuple[str, str]:
    """Return how likely the change is to be felt, with a sentence."""
    found = [*_short(use, window), *_peaks(use, now, chosen), *_bursts(use, now, chosen)]
    if not found:
        return RISKS[0], f"it was measured for {age(window)} without gaps, and its peaks fit"
    return RISKS[max(level for level, _text in found)], "; ".join(text for _level, text in found)


def _short(use: Use, window: float) -> list[tuple[int, str]]:
    """Return what the samples themselves leave open."""
    found = []
    if window < 86400:
        found.append((2 if window < 3600 else 1, f"it was measured for {age(window)} only, which is no whole day"))
    if use.denied >= _MUCH_DENIED:
        found.append((1, f"its host was busy and denied it up to {use.denied:.0f} % of its vCPUs"))
    if use.coverage < 0.9:
        found.append((1, f"its samples cover {use.coverage * 100:.0f} % of the time"))
    return found


def _peaks(use: Use, now: Flavor, chosen: Flavor) -> list[tuple[int, str]]:
    most = (use.cpu_max or 0.0) * now.vcpus / chosen.vcpus
    if chosen.vcpus >= now.vcpus or most <= 100:
        return []
    return [(1, f"its peak of {use.cpu_max:.3g} % of {_vcpus(now)} is more than {_vcpus(chosen)} can do")]


def _bursts(use: Use, now: Flavor, chosen: Flavor) -> list[tuple[int, str]]:
    """Return what burstable flavors hide: they are slowed, or billed for more, when their credits are used up."""
    if chosen.labels.get("burst") == "yes":
        mean = (use.cpu_mean or 0.0) * now.vcpus / chosen.vcpus
        much = mean > _LONG_RUN
        more = f", and its mean would be {mean:.3g} %, which uses credits up" if much else ""
        return [(2 if much else 1, f"{chosen.name} is burstable: it is slowed when its credits are used up{more}")]
    if now.labels.get("burst") == "yes":
        return [(1, f"{now.name} is burstable: what it was denied was not measured")]
    return []


def sentence(*parts: str) -> str:
    """Return what there is to say as one sentence."""
    return "; ".join(part for part in parts if part)
