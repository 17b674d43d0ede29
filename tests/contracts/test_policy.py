"""The contract of scaling policies: pure, readable, silent without data, and never in the way of a decision."""

from __future__ import annotations

import json
from math import isfinite
from random import Random
from typing import Any

import pytest
from tests.contracts.policy_subjects import EXAMPLES

from cloudms import registry
from cloudms.errors import Invalid
from cloudms.scaling.base import METRICS, Learner, LoopState, MemberState, Observed, Policy, Sample, Silence, Wish
from cloudms.scaling.decide import decide
from cloudms.scaling.look import look
from cloudms.scaling.spec import ScalingSpec

NOW = 1_782_900_000.0
KINDS = tuple(EXAMPLES)


def spec_of(kind: str, **limits: Any) -> ScalingSpec:
    return ScalingSpec.from_plain({"max": 50, "policies": [{"kind": kind, **EXAMPLES[kind]}], **limits})


def policy_of(kind: str) -> Policy:
    return spec_of(kind).policies[0]


def observed(seed: int, *, value: float | None = None) -> Observed:
    """Return members and samples of all metrics; without `value` each at random."""
    random = Random(seed)
    members = tuple(MemberState(f"m-{number}") for number in range(random.randint(1, 6)))
    samples = [
        Sample(metric, NOW - back, random.uniform(0, 100) if value is None else value, member)
        for metric in METRICS
        for back in (0.0, 15.0, 30.0, 45.0, 60.0)
        for member in ([each.name for each in members] if metric in ("cpu", "memory", "busy") else [""])
    ]
    return Observed(now=NOW, members=members, samples=samples)


def wish(kind: str, seen: Observed, memory: Any = None) -> Wish | Silence:
    policy = policy_of(kind)
    state = LoopState(memory={policy.name: memory} if memory is not None else {})
    return policy.wish(look(spec_of(kind), seen, state), seen.size)


def test_every_kind_is_held_to_it() -> None:
    assert set(registry.FAMILIES["cloudms.policies"]) <= set(EXAMPLES)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_is(kind: str) -> None:
    policy = policy_of(kind)
    assert policy.kind == kind
    assert policy.name
    assert policy.name.isprintable()
    assert set(policy.metrics) <= set(METRICS)
    assert policy.window >= 0
    assert (type(policy).__doc__ or "").strip()


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is_told_it_tells_again(kind: str) -> None:
    policy = policy_of(kind)
    plain = json.loads(json.dumps(policy.to_plain()))
    assert type(policy).from_plain(plain) == policy
    assert "kind" not in plain


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_that_nobody_knows_is_refused(kind: str) -> None:
    with pytest.raises(Invalid) as caught:
        registry.load("cloudms.policies", kind).from_plain({**EXAMPLES[kind], "odd": 1})
    assert caught.value.details["path"] == ["odd"]
    assert caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_no_data_is_silence(kind: str) -> None:
    found = wish(kind, Observed(now=NOW, members=(MemberState("a"), MemberState("b"))))
    assert isinstance(found, Silence) == bool(policy_of(kind).metrics)
    assert found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_is_asked_for_the_same(kind: str) -> None:
    for seed in range(30):
        seen = observed(seed)
        found = wish(kind, seen)
        assert found == wish(kind, seen)
        if isinstance(found, Wish):
            assert isfinite(found.count)
            assert found.count >= 0
            assert found.reason.isprintable()


@pytest.mark.parametrize("kind", KINDS)
def test_more_load_never_asks_for_fewer(kind: str) -> None:
    for seed in range(20):
        counts = []
        for value in (0.0, 10.0, 30.0, 60.0, 80.0, 100.0):
            found = wish(kind, observed(seed, value=value))
            assert isinstance(found, Wish)
            counts.append(found.count)
        assert counts == sorted(counts)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if policy_of(kind).metrics])
def test_it_never_takes_out_on_silence_within_a_decision(kind: str) -> None:
    state = LoopState()
    spec = spec_of(kind, stabilisation={"down": 0})
    for number in range(10):
        seen = Observed(now=NOW + 15 * number, members=tuple(MemberState(f"m-{each}") for each in range(5)))
        decision, state = decide(spec, seen, state)
        assert (decision.action, decision.wished) == ("hold", None)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if isinstance(policy_of(kind), Learner)])
def test_what_it_learns_is_json_and_changes_nothing_that_was_known(kind: str) -> None:
    policy = policy_of(kind)
    assert isinstance(policy, Learner)
    memory: Any = None
    for seed in range(20):
        seen = look(spec_of(kind), observed(seed).with_(now=NOW + 200.0 * seed), LoopState())
        before = json.dumps(memory)
        found = policy.learn(seen, memory)
        assert json.dumps(memory) == before
        memory = json.loads(json.dumps(found))
        assert memory == found
        assert len(json.dumps(memory)) < 200_000
