"""`cms scaler simulate`: policies side by side, drawn, and what cannot be simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from cloudms import registry
from cloudms.context import Context
from cloudms.errors import CloudmsError, ConfigError, Invalid, NoCapacity, NotFound
from cloudms.scaling import compare, store, traces
from cloudms.scaling.simulation import Simulated
from cloudms.scaling.spec import ScalingSpec
from cloudms.verbs.scaler import simulate
from tests.unit.calling import Call, calling


@pytest.fixture
def do(ctx: Context) -> Call:
    return calling(ctx)


def test_each_policy_has_a_row(do: Call) -> None:
    found = do("scaler simulate", "day", policy=["target", "fixed"], members=5, days=1, step="5m")
    assert [row.name for row in found] == ["target", "fixed"]
    assert found[0].cost < found[1].cost == pytest.approx(24 * 5 * 0.1)
    assert all(isinstance(row, Simulated) for row in found)


def test_several_are_drawn_as_cost_against_latency_and_one_as_its_story(do: Call, tmp_path: Path) -> None:
    both, one = tmp_path / "both.svg", tmp_path / "one.svg"
    do("scaler simulate", "spike", policy=["target", "queue"], members=5, days=1, step="5m", plot=both)
    do("scaler simulate", "spike", policy=["target"], members=5, days=1, step="5m", plot=one)
    assert "Cost against latency" in both.read_text()
    assert "grows from" in one.read_text()


def test_own_files_can_be_simulated(do: Call, tmp_path: Path) -> None:
    load, spec = tmp_path / "load.csv", tmp_path / "web.yaml"
    load.write_text("0,3\n3600,30\n7200,3\n")
    spec.write_text("min: 1\nmax: 6\npolicies:\n- kind: target\n  metric: cpu\n  value: 50\n")
    (found,) = do("scaler simulate", trace=load, file=spec)
    assert (found.name, found.trace, found.most) == ("web", "load", 6)


def test_what_can_be_chosen_is_what_there_is() -> None:
    assert set(get_args(simulate.Kind)) == {*registry.FAMILIES["cloudms.policies"], compare.FIXED}
    assert set(get_args(simulate.Shape)) == set(traces.SHAPES)


def test_the_policy_of_a_group_can_be_simulated(ctx: Context, do: Call) -> None:
    spec = ScalingSpec.from_plain({"max": 3, "policies": [{"kind": "target", "metric": "cpu", "value": 50}]})
    store.put(ctx, "web", spec)
    (found,) = do("scaler simulate", group=["web"], members=5, days=1, step="5m")
    assert (found.name, found.most) == ("web", 3)
    with pytest.raises(NotFound):
        do("scaler simulate", group=["other"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"members": 0}, Invalid, "0 members"),
        ({"days": 0}, Invalid, "0 days"),
        ({"days": 28, "step": "1s"}, Invalid, "steps"),
        ({"members": 10_000, "days": 28, "policy": ["fixed"]}, Invalid, "million measurements"),
        ({"step": "0s"}, Invalid, "time from look to look"),
        ({"step": "soon"}, Invalid, "not a duration"),
        ({"capacity": 0.0}, Invalid, "--capacity is 0"),
        ({"service": float("nan")}, Invalid, "--service is nan"),
        ({"price": -1.0}, Invalid, "--price is -1"),
        ({"objective": 0.0}, Invalid, "the objective is no time"),
        ({"trace": Path("/nowhere/load.csv")}, NotFound, "there is no file"),
        ({"plot": Path("/nowhere/plot.svg"), "policy": ["fixed"], "days": 1, "step": "5m"}, NoCapacity, "cannot write"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    do: Call, options: dict[str, Any], error: type[CloudmsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        do("scaler simulate", **options)


def test_a_wrong_file_is_named_with_its_line(do: Call, tmp_path: Path) -> None:
    spec = tmp_path / "web.yaml"
    spec.write_text("max: 6\npolicies:\n- kind: target\n  metrc: cpu\n")
    with pytest.raises(ConfigError, match=r"line 4: .*metrc is not known"):
        do("scaler simulate", file=spec)
