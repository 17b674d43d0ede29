"""What the ancestor's scaler did wrong, as far as it is a matter of deciding, and that this one does not.

Its eight: stuck at its ceiling; booting unrelated machines; the request of a machine that dies is lost and the machine
never used again; one unknown result kills the service; `terminate` never ends; it waits busily; a lock is held while it
connects and a word that is no number crashes the console; no bounds, no memory, no health, one metric, no group.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from cloudms.errors import Invalid
from cloudms.scaling.base import Decision, LoopState, MemberState, Observed, Sample
from cloudms.scaling.decide import decide
from cloudms.scaling.simulation import run
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import Trace
from cloudms.scaling.world import Machine, World

SEED = ScalingSpec.from_plain(
    {"max": 2, "interval": "15s", "stabilisation": {"down": "30s"}, "policies": [{"kind": "threshold", "above": 80}]}
)
"""The ancestor's rule, with the two machines it had."""
NOW = 1_782_900_000.0


def cpu(value: float, *names: str, now: float = NOW) -> tuple[Sample, ...]:
    return tuple(Sample("cpu", now - back, value, name) for back in (30, 15, 0) for name in names)


def test_1_at_its_ceiling_it_says_so_and_shrinks_when_the_load_falls() -> None:
    trace = Trace(name="up and down", step=15.0, rates=(25.0,) * 40 + (2.0,) * 20)
    moments = run(SEED, trace, Machine(noise=0.0, boot=20.0))
    high = moments[39].decision
    assert moments[39].size == 2
    assert high.action == "hold"
    assert "stays at its most, 2 members, though the load asks for more" in high.reason
    assert moments[-1].size == 1
    assert [m.decision.action for m in moments if m.decision.action != "hold"] == ["out", "in"]


def test_2_only_members_that_are_told_of_are_ever_named() -> None:
    members = (MemberState("vm-1"), MemberState("vm-2", "standby"))
    samples = (*cpu(95.0, "vm-1"), *cpu(100.0, "customer-db"))
    decision, _state = decide(SEED, Observed(now=NOW, members=members, samples=samples))
    assert (decision.action, decision.members) == ("out", ("vm-2",))
    alone, _state = decide(SEED, Observed(now=NOW, members=members[:1], samples=samples))
    assert (alone.action, alone.members) == ("out", ())


def test_3_a_member_that_dies_is_replaced_and_its_load_counts() -> None:
    members = (MemberState("vm-1"), MemberState("vm-2", "sick", NOW - 5))
    decision, _state = decide(SEED, Observed(now=NOW, members=members, samples=cpu(60.0, "vm-1", "vm-2")))
    assert (decision.action, decision.members, decision.clamped) == ("replace", ("vm-2",), 2)

    def dies(world: World, now: float) -> None:
        if now == trace.start + 150:
            world.fail(["sim-1"], now)

    trace = Trace(name="flat", step=15.0, rates=(14.0,) * 60)
    moments = run(SEED, trace, Machine(noise=0.0, boot=20.0), size=2, disturb=dies)
    assert moments[-1].size == 2
    assert moments[-1].served.serving == 2
    assert sum(m.decision.action == "replace" for m in moments) == 1


def test_4_what_nobody_knows_harms_nothing() -> None:
    odd = (
        Sample("cpu", NOW, 10.0, "10.0.0.99"),
        Sample("nonsense", NOW, 5.0, "vm-1"),
        Sample("cpu", NOW - 1, float("nan"), "vm-1"),
    )
    decision, state = decide(
        SEED, Observed(now=NOW, members=(MemberState("vm-1"),), samples=(*cpu(95.0, "vm-1"), *odd))
    )
    assert decision.action == "out"
    assert decision.problems == ("1 sample of cpu left out: they are no numbers",)
    again, _state = decide(SEED, Observed(now=NOW + 15, members=(MemberState("vm-1"),), samples=odd), state)
    assert again.action == "hold"


def test_5_and_6_a_decision_waits_for_nothing() -> None:
    """What decides imports neither threads nor sockets, and no clock: it can neither hang nor turn in circles."""
    code = (
        "import sys; before = set(sys.modules); import cloudms.scaling.decide, cloudms.scaling.policies.predictive;"
        "import cloudms.scaling.policies.steps, cloudms.scaling.policies.schedule, cloudms.scaling.simulation;"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cloudms.scaling.clamps" in done.stdout.split()
    assert not {"socket", "subprocess", "asyncio", "concurrent.futures", "cloudms.context"} & set(done.stdout.split())


@pytest.mark.parametrize("word", ["fast", "", "1e999", "-3", "nan"])
def test_7_a_word_that_is_no_number_is_one_clear_error(word: str) -> None:
    with pytest.raises(Invalid) as caught:
        ScalingSpec.from_plain({"policies": [{"kind": "threshold", "window": word or "x"}]})
    assert caught.value.message.startswith("policies.0: window is")
    assert caught.value.hint


def test_8_bounds_memory_health_metrics_and_groups() -> None:
    spec = ScalingSpec.from_plain(
        {"min": 2, "max": 3, "stabilisation": {"down": "5m"},
         "policies": [{"kind": "threshold"}, {"kind": "target", "metric": "requests", "value": 10}]}
    )  # fmt: skip
    first, state = decide(spec, Observed(now=NOW, members=(MemberState("a"),)), group="web")
    assert (first.group, first.action, first.clamped) == ("web", "out", 2)  # below its min, even on silence
    members = (MemberState("a"), MemberState("b"))
    samples = (*cpu(20.0, "a", "b"), Sample("requests", NOW, 29.0))
    second, state = decide(spec, Observed(now=NOW + 1, members=members, samples=samples), state, group="web")
    assert (second.action, second.clamped) == ("out", 3)  # of two metrics the one that asks for more

    quiet = Observed(
        now=NOW + 15,
        members=(*members, MemberState("c")),
        samples=(Sample("requests", NOW + 15, 1.0), *cpu(1.0, "a", "b", "c", now=NOW + 15)),
    )
    restarted = LoopState.from_document(json.loads(json.dumps(state.to_document())))
    kept, _ = decide(spec, quiet, restarted, group="web")
    assert kept == decide(spec, quiet, state, group="web")[0]
    assert kept.action == "hold"  # what it knew is not forgotten by a restart: no way in so soon after the way out
    assert any("were asked for within 5m" in each for each in kept.clamps)


def test_its_own_rule_goes_up_and_down_as_it_did() -> None:
    """1 to 2 to 3 as the load rises, and back to 1 as it falls."""
    spec = SEED.with_(max=3)
    trace = Trace(name="hill", step=15.0, rates=(5.0,) * 8 + (9.0,) * 20 + (17.0,) * 20 + (9.0,) * 20 + (3.0,) * 30)
    moments = run(spec, trace, Machine(noise=0.0, boot=20.0), standby=1)
    sizes = [two.size for one, two in pairwise(moments) if one.size != two.size]
    assert sizes == [2, 3, 2, 1]
    assert sum(m.served.failed for m in moments) == 0
    outs: list[Decision] = [m.decision for m in moments if m.decision.action == "out"]
    assert [each.members for each in outs] == [("sim-2",), ()]  # standby first, then a new one
