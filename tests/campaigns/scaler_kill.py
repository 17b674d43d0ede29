"""Kill -9 of the controller of a group at random moments under changing load: no member is leaked or doubled."""

from __future__ import annotations

import random
import time
from typing import Any

from cloudms import paths
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, rows

DESCRIPTION = (
    "kill -9 of the controller of a group under changing load: the next one goes on, and in the end each member is "
    "there exactly once, on its cloud, in the catalog and behind the balancer"
)
SMOKE = 3
NAME = "herd"
MOST = 4
_LONGEST = 6.0
"""Seconds that a controller lives at most before it is killed."""
CONFIG = """\
cloudmesh:
  default: {cloud: near}
  cloud:
    local: {cm: {active: false}}
    near: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 0.5, change_seconds: 0.2}
"""
POLICY = """\
policies:
  - {{kind: threshold, metric: cpu, above: 60, window: 1s, add: 2}}
min: 1
max: 4
interval: 0.3s
on_in: {way}
stabilisation: {{down: 0s}}
warm_up: 0.5s
drain: 1s
balancer: {{kind: fake}}
"""


def run(times: int) -> Figure:
    """Kill the controller `times` times, let the last one come to rest, and count everything."""
    folder = paths.private(paths.home())
    file = folder / "cloudmesh.yaml"
    file.touch(mode=0o600)
    file.write_text(CONFIG)
    policy = folder / "herd.yaml"
    cms("group", "create", NAME, "--size", "1")
    landed = 0
    problems: list[str] = []
    for number in range(times):
        policy.write_text(POLICY.format(way=random.choice(("suspend", "save", "stop", "delete"))))
        cms("group", "policy", "set", NAME, str(policy))
        _load(random.choice((0.0, 1.0)))
        when = killed(("scaler", "run", "--group", NAME), random.uniform(0.3, _LONGEST))
        landed += when is not None
        problems += [f"after kill {number + 1}: {text}" for text in _too_many()]
    policy.write_text(POLICY.format(way="delete"))
    cms("group", "policy", "set", NAME, str(policy))
    for load, wanted in ((1.0, MOST), (0.0, 1)):
        problems += _comes_to(load, wanted)
    problems += _differences()
    broken = min(len(problems), times)
    text = f"{landed} of {times} kills hit a running controller; {'; '.join(problems[:5]) or 'nothing differs'}"
    return Figure(times - broken, broken, text)


def _cloud() -> FakeCloud:
    return FakeCloud(Setup(name="near"))


def _alive() -> list[Any]:
    return [vm for vm in _cloud().list_vms() if vm.state not in ("terminating", "terminated")]


def _load(part: float) -> None:
    cloud = _cloud()
    for vm in _alive():
        cloud.set_load(vm, part)


def _too_many() -> list[str]:
    """Return what can be seen at once: more machines than the group may have."""
    names = [vm.name for vm in _alive()]
    return [f"the cloud has {len(names)} VMs: {names}"] * (len(names) > MOST)


def _comes_to(load: float, wanted: int) -> list[str]:
    """Let a controller run under a load until so many members serve, for at most a minute."""
    end = time.monotonic() + 60
    serving = 0
    while time.monotonic() < end:
        _load(load)
        cms("scaler", "run", "--group", NAME, "--seconds", "3")
        (row,) = rows("scaler", "list")
        serving = sum(row["members"].get(status, 0) for status in ("in_service", "warming"))
        if serving == wanted and not row["action"]:
            return []
    return [f"at load {load:g} {serving} members serve and not {wanted}"]


def _differences() -> list[str]:
    """Return where the sides do not agree in the end."""
    real = sorted(vm.name for vm in _alive())
    known = sorted(row["name"] for row in rows("vm", "list"))
    behind = sorted(row["name"] for row in rows("balancer", "stats", NAME))
    (group,) = rows("group", "list")
    running = sorted(vm.name for vm in _alive() if vm.state == "running")
    found = [] if known == real else [f"the catalog knows {known} and the cloud has {real}"]
    found += [] if sorted(group["vms"]) == real else [f"the group has {group['vms']} and the cloud {real}"]
    found += [] if len(set(real)) == len(real) else [f"names are there twice: {real}"]
    found += [] if behind == running else [f"{behind} are behind the balancer, and {running} run"]
    left = [row for row in rows("sweep") if row["name"] != NAME and not str(row["name"]).startswith("op-")]
    return found + [f"sweep still finds {row['what']} {row['name']}" for row in left]
