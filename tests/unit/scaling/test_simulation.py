"""The simulation: loads, a pretended group, and policies side by side."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.errors import Invalid, NotFound
from cloudms.scaling import compare, traces
from cloudms.scaling.simulation import run, summary
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.traces import MIDNIGHT, SHAPES, Trace
from cloudms.scaling.world import Machine, World

MACHINE = Machine(noise=0.0)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_reaches_its_height_and_is_the_same_each_time(name: str) -> None:
    trace = traces.shaped(name, 100.0, noise=0.0)
    assert len(trace.rates) == 1440
    assert min(trace.rates) >= 0
    assert trace.most == pytest.approx(100.0, rel=0.02) or name == "flat"
    assert traces.shaped(name, 100.0, seed=7) == traces.shaped(name, 100.0, seed=7)
    assert traces.shaped(name, 100.0, seed=7) != traces.shaped(name, 100.0, seed=8)


def test_a_shape_that_is_none_is_named() -> None:
    with pytest.raises(NotFound) as caught:
        traces.shaped("dya", 1.0)
    assert "'day'" in caught.value.hint
    with pytest.raises(Invalid, match="are 604800 steps"):
        traces.shaped("day", 1.0, days=7, step=1.0)


@pytest.mark.parametrize(
    ("text", "rates", "start"),
    [
        ("time,requests\n0,5\n120,8\n", (5, 5, 8), MIDNIGHT),
        ("0,5\n# pause\n\n60,1\n", (5, 1), MIDNIGHT),
        ("2026-07-01T10:00:00Z,3\n2026-07-01T10:01:00Z,4\n", (3, 4), 1_782_900_000.0),
        ("120,2\n0,1\n", (1, 1, 2), MIDNIGHT),
    ],
)
def test_a_load_is_read_from_a_file(tmp_path: Path, text: str, rates: tuple[float, ...], start: float) -> None:
    file = tmp_path / "load.csv"
    file.write_text(text)
    found = traces.read(file)
    assert (found.name, found.rates, found.start) == ("load", rates, start)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no measurement"),
        ("time,requests\n", "has no measurement"),
        ("0,1\n60\n", "line 2"),
        ("0,1\n60,-1\n", "line 2: -1 requests per second cannot be"),
        ("0,1\nx,1\n", "line 2"),
        ("0,nan\n", "cannot be"),
        ("0,1\n1e9,1\n", "steps of 60s"),
    ],
)
def test_a_load_that_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "load.csv"
    file.write_text(text)
    with pytest.raises(Invalid, match=message):
        traces.read(file)
    with pytest.raises(NotFound, match="there is no file"):
        traces.read(tmp_path / "other.csv")


def test_no_request_is_lost_in_the_reckoning() -> None:
    world = World(MACHINE, 2, 0.0)
    for step in range(1, 50):
        before, rate = world.queue, 15.0 + step % 20
        served = world.serve(rate, 60.0 * step, 60.0)
        done = served.used * served.serving * MACHINE.capacity * 60
        assert before + rate * 60 == pytest.approx(done + world.queue + served.failed * 60)
        assert served.latency >= MACHINE.service


def test_a_member_serves_only_from_when_it_is_up() -> None:
    spec = ScalingSpec.from_plain({"max": 4, "policies": [{"kind": "target", "metric": "cpu", "value": 60}]})
    moments = run(spec, Trace(name="flat", step=60.0, rates=(18.0,) * 6), Machine(noise=0.0, boot=30.0))
    assert [m.served.serving for m in moments[:2]] == [1.0, pytest.approx(1.5)]


def test_a_longer_boot_makes_more_requests_late() -> None:
    spec = ScalingSpec.from_plain({"max": 20, "policies": [{"kind": "target", "metric": "cpu", "value": 70}]})
    trace = traces.shaped("spike", 120.0, noise=0.0)
    late = [summary("x", trace, run(spec, trace, Machine(noise=0.0, boot=boot))).late for boot in (5.0, 120.0, 600.0)]
    assert late[0] < late[1] < late[2]


def test_a_group_at_rest_costs_as_reckoned() -> None:
    trace = Trace(name="flat", step=60.0, rates=(1.0,) * 1440)
    found = summary("fixed", trace, run(ScalingSpec.from_plain({"min": 3, "max": 3}), trace, MACHINE, standby=2))
    assert (found.members, found.most, found.member_hours, found.changes) == (3.0, 3, 72.0, 0)
    assert found.cost == pytest.approx(24 * 0.1 * (3 + 2 * 0.05), abs=0.01)


def test_only_the_last_day_counts() -> None:
    trace = Trace(name="two", step=60.0, rates=(0.0,) * 1440 + (5.0,) * 1440)
    moments = run(ScalingSpec.from_plain({"min": 1, "max": 1}), trace, MACHINE)
    assert summary("x", trace, moments).member_hours == 24.0


def test_policies_are_compared_on_the_same_load() -> None:
    machine = Machine()
    specs = compare.ordinary(machine, 20)
    assert set(specs) == {*registry.FAMILIES["cloudms.policies"], compare.FIXED}
    trace = traces.shaped("day", 120.0, days=2, step=120.0)
    found = {name: result for name, (result, _moments) in compare.run(specs, trace, machine).items()}
    assert all(result.late < 1 for result in found.values())
    assert found["fixed"].cost == max(result.cost for result in found.values())
    assert found["target"].cost < 0.6 * found["fixed"].cost
    assert found["predictive"].latency_p95 < found["target"].latency_p95  # what it is for
    page = ET.fromstring(compare.plot(list(found.values()), trace))  # noqa: S314 (our own)
    texts = [each.text for each in page.iter("{http://www.w3.org/2000/svg}text")]
    assert set(found) <= set(texts)


def test_what_a_day_taught_is_there_before_the_load_comes() -> None:
    machine = Machine(boot=300.0)
    trace = traces.shaped("steps", 120.0, days=3, step=300.0, noise=0.0)
    specs = {name: spec for name, spec in compare.ordinary(machine, 30).items() if name in ("target", "predictive")}
    found = {name: result for name, (result, _moments) in compare.run(specs, trace, machine).items()}
    assert found["predictive"].late < found["target"].late / 2
