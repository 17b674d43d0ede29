"""What a group scales by: read from plain data, and wrong settings named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from cloudms import registry
from cloudms.errors import Invalid
from cloudms.scaling.spec import Rate, ScalingSpec
from tests.unit.scaling.chaos import specs

FULL: dict[str, Any] = {
    "min": 2,
    "max": 12,
    "interval": "10s",
    "tolerance": "5%",
    "stabilisation": {"up": "30s", "down": "10m"},
    "rates": {
        "up": [{"members": 2, "per": "1m"}, {"percent": "50%", "per": "5m"}],
        "down": {"members": 1, "per": "1m"},
    },
    "cooldown": {"up": 15, "down": "2m"},
    "warm_up": "1m",
    "max_cost": 2.5,
    "replace": {"members": 2, "per": "5m"},
    "drain": "45s",
    "on_in": "stop",
    "standby": 1,
    "hooks": {"in_service": "true"},
    "sources": {"cpu": {"kind": "hypervisor"}},
    "balancer": {"port": 8080},
    "policies": [
        {"kind": "threshold", "above": 75, "below": 20, "window": "45s", "add": 2, "remove": 1, "name": "seed"},
        {"kind": "target", "metric": "busy", "value": 70},
        {
            "kind": "steps",
            "metric": "latency",
            "steps": [{"from": 0.5, "to": 1, "add": 1}, {"from": 1, "add": "25%"}, {"to": 0.1, "remove": 1}],
        },
        {
            "kind": "schedule",
            "zone": "Europe/Berlin",
            "ahead": "10m",
            "otherwise": 1,
            "times": [
                {"days": "mon-fri", "at": "08:00", "until": "18:00", "size": 6},
                {"at": "22:00", "until": "24:00", "size": 3},
            ],
        },
        {"kind": "queue", "metric": "tasks", "per_member": 10, "busy": "90%"},
        {"kind": "predictive", "metric": "requests", "value": 8, "period": "week", "slot": "10m", "margin": "20%"},
    ],
}


def test_what_is_written_is_what_is_read() -> None:
    spec = ScalingSpec.from_plain(FULL)
    assert (spec.min, spec.max, spec.interval, spec.tolerance) == (2, 12, 10.0, 0.05)
    assert (spec.stabilise_up, spec.stabilise_down, spec.cooldown_up, spec.cooldown_down) == (30, 600, 15, 120)
    assert spec.rate_up == (Rate(count=2, per=60), Rate(count=50, per=300, percent=True))
    assert spec.rate_down == (Rate(count=1, per=60),)
    assert (spec.replace, spec.replace_per, spec.on_in, spec.standby) == (2, 300, "stop", 1)
    assert [policy.kind for policy in spec.policies] == list(registry.FAMILIES["cloudms.policies"])
    assert spec.metrics == ("cpu", "busy", "latency", "tasks", "requests")
    assert spec.window == 60 + 2 * 10


def test_it_survives_being_stored_and_shown() -> None:
    spec = ScalingSpec.from_plain(FULL)
    stored = json.loads(json.dumps(spec.to_document()))
    assert ScalingSpec.from_document(stored) == spec
    assert ScalingSpec.from_plain(spec.to_plain()).to_plain() == spec.to_plain()


@settings(max_examples=60, deadline=None)
@given(specs)
def test_any_survives(plain: dict[str, Any]) -> None:
    spec = ScalingSpec.from_plain(plain)
    again = ScalingSpec.from_document(json.loads(json.dumps(spec.to_document())))
    assert again == spec
    assert again.to_plain() == spec.to_plain()


def test_nothing_has_to_be_said() -> None:
    spec = ScalingSpec.from_plain({})
    assert (spec.min, spec.max, spec.policies, spec.stabilise_down, spec.tolerance) == (1, 10, (), 300.0, 0.1)


def policy(**settings: Any) -> dict[str, Any]:
    return {"policies": [settings]}


WRONG = [
    ({"mni": 1}, "mni is not known", "did you mean 'min'?", ["mni"]),
    ({"min": 6, "max": 5}, "min is 6, and max is 5", "at most as large", ["min"]),
    ({"max": 0}, "max is 0", "it is 1 or more", ["max"]),
    ({"min": -1}, "min is -1", "0 or more", ["min"]),
    ({"min": 1.5}, "not a whole number", "min: 1", ["min"]),
    ({"min": "two"}, "is 'two' and not a number", "min: 1", ["min"]),
    ({"min": True}, "is True and not a number", "min: 1", ["min"]),
    ({"max_cost": float("nan")}, "not a number", "max_cost", ["max_cost"]),
    ({"tolerance": "lots"}, "tolerance is 'lots'", "tolerance: 10", ["tolerance"]),
    ({"tolerance": 101}, "tolerance is 101", "up to 100", ["tolerance"]),
    ({"interval": "0s"}, "interval is 0s", "0.1s or longer", ["interval"]),
    ({"stabilisation": {"up": "soon"}}, "stabilisation.up is 'soon'", "90s", ["stabilisation", "up"]),
    ({"stabilisation": {"left": 1}}, "stabilisation.left is not known", "up, down", ["stabilisation", "left"]),
    ({"stabilisation": 5}, "stabilisation is not a section", "below it", ["stabilisation"]),
    ({"rates": {"up": [{"per": "1m"}]}}, "rates.up.0 is no rate", "{members: 2, per: 1m}", ["rates", "up", "0"]),
    ({"rates": {"up": {"members": 1}}}, "rates.up.0.per is missing", "write per:", ["rates", "up", "0", "per"]),
    ({"on_in": "destroy"}, "on_in cannot be 'destroy'", "one of: suspend", ["on_in"]),
    ({"hooks": 3}, "hooks is not a section", "indented", ["hooks"]),
    ({"policies": [{"metric": "cpu"}]}, "policies.0.kind is missing", "write kind:", ["policies", "0", "kind"]),
    (policy(kind="treshold"), "policies.0.kind cannot be 'treshold'", "'threshold'", ["policies", "0", "kind"]),
    (policy(kind="target", metric="cpu"), "policies.0: value is missing", "value:", ["policies", "0", "value"]),
    (policy(kind="target", metric="cpus", value=1), "metric cannot be 'cpus'", "'cpu'", ["policies", "0", "metric"]),
    (policy(kind="target", value=0), "value is 0", "more than 0", ["policies", "0", "value"]),
    (policy(kind="target", value=5, windwo="1m"), "windwo is not known", "'window'", ["policies", "0", "windwo"]),
    (policy(kind="threshold", above=50, below=60), "below is 60, and above is 50", "lower", ["policies", "0", "below"]),
    (policy(kind="steps", metric="cpu"), "steps has no step", "for instance", ["policies", "0", "steps"]),
    (
        policy(kind="steps", steps=[{"from": 1, "to": 5, "add": 1}, {"from": 4, "add": 2}]),
        "overlap at 4",
        "next begins",
        ["policies", "0", "steps"],
    ),
    (
        policy(kind="steps", steps=[{"from": 5, "to": 1, "add": 1}]),
        "no beginning before its end",
        "for instance",
        ["policies", "0", "steps", "0"],
    ),
    (
        policy(kind="steps", steps=[{"from": 5, "add": 1, "remove": 1}]),
        "or both",
        "for instance",
        ["policies", "0", "steps", "0"],
    ),
    (policy(kind="schedule"), "times has no hours", "08:00", ["policies", "0", "times"]),
    (
        policy(kind="schedule", zone="Mars/Base", times={"at": 1, "until": 2, "size": 1}),
        "'Mars/Base', which is no time zone",
        "Europe/Berlin",
        ["policies", "0", "zone"],
    ),
    (
        policy(kind="schedule", times={"at": "8", "until": "9:00", "size": 1}),
        "is '8' and no time of the day",
        "08:30",
        ["policies", "0", "times", "0", "at"],
    ),
    (
        policy(kind="schedule", times={"at": "25:00", "until": "9:00", "size": 1}),
        "no time of the day",
        "08:30",
        ["policies", "0", "times", "0", "at"],
    ),
    (
        policy(kind="schedule", times={"at": "9:00", "until": "9:00", "size": 1}),
        "ends when it begins",
        "for instance",
        ["policies", "0", "times", "0"],
    ),
    (
        policy(kind="schedule", times={"days": "mon,someday", "at": "9:00", "until": "10:00", "size": 1}),
        "has 'someday'",
        "mon-fri",
        ["policies", "0", "times", "0", "days"],
    ),
    (
        policy(kind="schedule", times={"days": "2026-02-30", "at": "9:00", "until": "10:00", "size": 1}),
        "which is no day",
        "mon-fri",
        ["policies", "0", "times", "0", "days"],
    ),
    (policy(kind="queue", metric="cpu"), "metric cannot be 'cpu'", "one of: queue, tasks", ["policies", "0", "metric"]),
    (policy(kind="queue", busy=0), "busy is 0", "busy: 80%", ["policies", "0", "busy"]),
    (
        policy(kind="predictive", value=1, slot="7m"),
        "which does not divide a day",
        "slot: 5m",
        ["policies", "0", "slot"],
    ),
    (
        policy(kind="predictive", value=1, period="year"),
        "cannot be 'year'",
        "one of: day, week",
        ["policies", "0", "period"],
    ),
    (
        {"policies": [{"kind": "queue"}, {"kind": "queue"}]},
        "policies has two called 'queue'",
        "another name",
        ["policies"],
    ),
]


@pytest.mark.parametrize(("plain", "message", "hint", "path"), WRONG, ids=[case[1] for case in WRONG])
def test_a_wrong_setting_is_named(plain: dict[str, Any], message: str, hint: str, path: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        ScalingSpec.from_plain(plain)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.details["path"] == path
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "plain",
    [
        {"warm_up": "0.0000001s", "tolerance": "0.00000001%"},
        {"stabilisation": {"down": "1234.567s"}, "cooldown": {"up": "0.00001s"}},
        policy(kind="target", value=60, window="1234.567s"),
        policy(kind="queue", metric="tasks", busy="33.3333%", window="100.5s"),
        policy(kind="predictive", metric="requests", value=6, margin="12.3456%", window="100.25s"),
        policy(kind="steps", steps=[{"from": 70, "add": "0.0001%"}], window="100.5s"),
        policy(kind="schedule", times={"at": "08:00", "until": "09:00", "size": 1}, ahead="100.5s"),
    ],
    ids=str,
)
def test_odd_numbers_survive_being_stored(plain: dict[str, Any]) -> None:
    spec = ScalingSpec.from_plain(plain)
    assert ScalingSpec.from_document(json.loads(json.dumps(spec.to_document()))) == spec


@pytest.mark.parametrize(
    "value", ["²%", "½", "1.2.3%", ".%", float("nan"), 10**400, "9" * 5000, True, [1], {"a": 1}], ids=lambda _: ""
)
def test_what_is_no_number_is_told_in_a_line(value: Any) -> None:
    for key in ("tolerance", "min", "max_cost", "interval", "warm_up"):
        with pytest.raises(Invalid) as caught:
            ScalingSpec.from_plain({key: value})
        assert len(caught.value.message) < 250
        assert caught.value.hint


def test_hours_are_read_as_yaml_reads_them() -> None:
    """YAML takes 18:30 without quotes for a number of minutes."""
    times = {"days": ["sat", "sun"], "at": 1110, "until": "24:00", "size": 2}
    (found,) = ScalingSpec.from_plain(policy(kind="schedule", times=times)).policies
    assert found.to_plain()["times"] == [{"days": "sat,sun", "at": "18:30", "until": "24:00", "size": 2}]
