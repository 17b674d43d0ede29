"""The cases of tests/cases/scaling: what is observed, and what is decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from cloudms.scaling.base import Decision, LoopState, MemberState, Observed, Sample
from cloudms.scaling.decide import decide
from cloudms.scaling.spec import ScalingSpec

CASES = Path(__file__).parents[2] / "cases" / "scaling"
NOW = 1_782_900_000.0
"""When a case is that does not say so: a Wednesday, 10:00 UTC."""
PLAIN = {"tolerance": 0, "stabilisation": {"up": 0, "down": 0}}


def cases() -> dict[str, dict[str, Any]]:
    """Return every case by file and name."""
    found = {}
    for file in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(file.read_text(encoding="utf-8")):
            name = f"{file.stem}: {case['what']}"
            assert name not in found
            found[name] = case
    return found


def spec_of(plain: dict[str, Any]) -> ScalingSpec:
    """Return the specification of a case: what it does not say of tolerance and stabilisation is nothing."""
    return ScalingSpec.from_plain({**PLAIN, **plain})


def decisions(case: dict[str, Any]) -> Iterator[tuple[Decision, dict[str, Any]]]:
    """Yield what is decided at each look, and what is expected; the state goes through JSON between them."""
    spec = spec_of(case["spec"])
    looks = case.get("looks") or [{key: case[key] for key in case if key != "spec"}]
    now, state, seen = _time(case.get("now")), LoopState(), dict[str, Any]()
    for look in looks:
        now += look.get("after", 0)
        seen |= look
        if "memory" in look:
            state = state.with_(memory=look["memory"])
        members = tuple(_member(each, now) for each in seen["members"])
        observed = Observed(now=now, members=members, samples=tuple(_samples(seen, now)))
        decision, state = decide(spec, observed, state, group="web", busy=look.get("busy", ""))
        state = LoopState.from_document(state.to_document())
        yield decision, look["expect"]


def _time(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else NOW


def _member(told: Any, now: float) -> MemberState:
    if isinstance(told, str):
        name, _, status = told.partition(" ")
        return MemberState(name, status or "in_service")
    since = now + told["since"] if "since" in told else 0.0
    return MemberState(**{"status": "in_service", **told, "since": since})


def _samples(look: dict[str, Any], now: float) -> Iterator[Sample]:
    every = look.get("every", 15.0)
    for metric, told in (look.get("samples") or {}).items():
        for member, values in told.items() if isinstance(told, dict) else [("", told)]:
            for back, value in enumerate(reversed(values)):
                if value is not None:
                    yield Sample(metric, now - back * every, float(value), member)
    for metric, back, value, member in look.get("raw", ()):
        yield Sample(metric, now - back, value, member)
