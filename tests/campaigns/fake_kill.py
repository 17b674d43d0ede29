"""Kill -9 of VM commands at random moments on the fake cloud: quick enough for hundreds."""

from __future__ import annotations

import time

from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, moment, rows, timed

DESCRIPTION = (
    "kill -9 of vm boot, delete, stop, resize, rename, clone on the fake cloud: after a sweep both sides agree"
)
SMOKE = 2
VERBS = {
    "boot": ["vm", "boot", "micro", "--cloud", "fake", "--name", "k", "--count", "3"],
    "clone": ["vm", "clone", "base"],
    "stop": ["vm", "stop", "base"],
    "start": ["vm", "start", "base"],
    "resize": ["vm", "resize", "base", "medium"],
    "rename": ["vm", "rename", "base", "renamed"],
    "delete": ["vm", "delete", "base", "--yes"],
    "volume": ["volume", "create", "disk", "--cloud", "fake", "--size", "1"],
}


def run(times: int) -> Figure:
    """Kill each verb `times` times and compare the catalog with the cloud's own state after one sweep."""
    cms("vm", "boot", "micro", "--cloud", "fake", "--name", "base")
    seconds = timed("vm", "list", "--cloud", "fake") * 2.5
    problems: list[str] = []
    landed = 0
    for verb, words in VERBS.items():
        for _ in range(times):
            when = killed(words, moment(seconds))
            landed += when is not None
            cms("sweep", "--cloud", "fake", "--apply", "--yes")
            problems += [f"{verb} killed at {when or 0:.2f} s: {problem}" for problem in _differences()]
            _reset()
    total = times * len(VERBS)
    text = f"{landed} kills hit a running command; {'; '.join(problems[:5]) or 'nothing differs'}"
    return Figure(total - min(total, len(problems)), min(total, len(problems)), text)


def _differences() -> list[str]:
    time.sleep(0.3)  # a VM of the fake cloud boots 0.2 s: both sides are asked when it has
    cloud = FakeCloud(Setup(name="fake"))
    real = {vm.name: vm for vm in cloud.list_vms() if vm.state != "terminated"}
    known = {row["name"]: row for row in rows("vm", "list", "--cloud", "fake")}
    found = [f"{name} is on one side only" for name in real.keys() ^ known.keys()]
    found += [
        f"{name} is {real[name].state} on the cloud and {known[name]['state']} in the catalog"
        for name in real.keys() & known.keys()
        if real[name].state != known[name]["state"] or real[name].id != known[name]["id"]
    ]
    found += [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", "fake")]
    found += [f"left on the cloud: {item.kind} {item.id}" for item in cloud.leftovers(frozenset(_tokens(known)))]
    return found


def _tokens(known: dict[str, dict[str, str]]) -> list[str]:
    return [row["token"] for row in known.values()] + [
        row["token"] for row in rows("volume", "list", "--cloud", "fake")
    ]


def _reset() -> None:
    """Leave one running VM named base, and no volume."""
    for row in rows("vm", "list", "--cloud", "fake"):
        if row["name"] != "base":
            cms("vm", "delete", row["name"], "--yes")
    for row in rows("volume", "list", "--cloud", "fake"):
        cms("volume", "delete", row["name"], "--cloud", "fake", "--yes")
    if not rows("vm", "list", "base", "--cloud", "fake"):
        cms("vm", "boot", "micro", "--cloud", "fake", "--name", "base")
