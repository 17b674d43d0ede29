"""Kill -9 of VM commands at random moments on the fake cloud: quick enough for hundreds."""

from __future__ import annotations

import random
import time
from typing import Any

from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, moment, rows, timed

DESCRIPTION = (
    "kill -9 of vm boot (of few and many), delete, stop, resize, confirm, rename, clone, ip create, volume create, "
    "resize and snapshot, secgroup create on the fake cloud: "
    "after a sweep, or a resume of the many, both sides agree"
)
SMOKE = 1
MANY = 40
VERBS = {
    "boot": ["vm", "boot", "micro", "--cloud", "fake", "--name", "k", "--count", "3"],
    "batch": ["vm", "boot", "micro", "--cloud", "fake", "--name", "k", "--count", str(MANY), "--wait", "running"],
    "clone": ["vm", "clone", "base"],
    "stop": ["vm", "stop", "base"],
    "start": ["vm", "start", "base"],
    "resize": ["vm", "resize", "base", "medium"],
    "confirm": ["vm", "resize", "base", "medium", "--confirm"],
    "keep": ["vm", "delete", "base", "--keep-ip", "--yes"],
    "address": ["ip", "create", "--cloud", "fake"],
    "rename": ["vm", "rename", "base", "renamed"],
    "delete": ["vm", "delete", "base", "--yes"],
    "volume": ["volume", "create", "disk", "--cloud", "fake", "--size", "1"],
    "grow": ["volume", "resize", "data", "2"],
    "snapshot": ["volume", "snapshot", "create", "data", "--name", "kept"],
    "group": ["secgroup", "create", "web", "--cloud", "fake"],
}
BESIDE = {"volume": "list_volumes", "volume snapshot": "list_volume_snapshots", "secgroup": "list_secgroups"}
"""What stands beside VMs: the words of its commands, and what the cloud is asked for it."""


def run(times: int) -> Figure:
    """Kill each verb `times` times and compare the catalog with the cloud's own state after one sweep."""
    _reset()
    seconds = timed("vm", "list", "--cloud", "fake") * 2.5
    problems: list[str] = []
    landed = 0
    for verb, words in VERBS.items():
        for _ in range(times):
            when = killed(words, moment(seconds))
            landed += when is not None
            found = _resumed() if verb == "batch" and random.random() < 0.5 else []
            cms("sweep", "--cloud", "fake", "--apply", "--yes")
            problems += [f"{verb} killed at {when or 0:.2f} s: {problem}" for problem in [*found, *_differences()]]
            _reset()
    total = times * len(VERBS)
    text = f"{landed} kills hit a running command; {'; '.join(problems[:5]) or 'nothing differs'}"
    return Figure(total - min(total, len(problems)), min(total, len(problems)), text)


def _resumed() -> list[str]:
    """Carry out what a killed boot of many left, and say what is not as if it had never been killed."""
    left = rows("operation", "list", "--state", "interrupted")
    for operation in left:
        cms("operation", "resume", operation["name"])
    real = [vm for vm in FakeCloud(Setup(name="fake")).list_vms() if vm.state != "terminated" and vm.name != "base"]
    wanted = {f"k-{number}" for number in range(1, MANY + 1)} if left else {vm.name for vm in real}
    names = [vm.name for vm in real]
    return (
        [] if sorted(names) == sorted(wanted) else [f"resumed, there are {len(names)} of {MANY}: {sorted(names)[:5]}"]
    )


def _differences() -> list[str]:
    time.sleep(0.3)  # a VM of the fake cloud boots 0.2 s: both sides are asked when it has
    cloud = FakeCloud(Setup(name="fake"))
    real = {vm.name: vm for vm in cloud.list_vms() if vm.state != "terminated"}
    known = {row["name"]: row for row in rows("vm", "list", "--cloud", "fake")}
    found = [f"{name} is on one side only" for name in real.keys() ^ known.keys()]
    found += [
        f"{name} is {real[name].state} on the cloud and {known[name]['state']} in the catalog"
        for name in real.keys() & known.keys()
        if (real[name].state, real[name].id) != (known[name]["state"], known[name]["id"])
    ]
    found += [
        f"{name} was {row['resized_from']} and is {row['flavor']} in the catalog, {real[name].flavor} on the cloud"
        for name, row in known.items()
        if name in real and (row["flavor"] != real[name].flavor or row["resized_from"] == row["flavor"])
    ]
    had = {each.token for each in cloud.list_addresses() if each.token}
    if had != (shown := {row["token"] for row in _addresses()}):
        found.append(f"the cloud has given {len(had)} addresses away, the catalog knows {len(shown)}")
    for words, call in BESIDE.items():
        both = {(each.name, each.id, getattr(each, "size_gib", 0)) for each in getattr(cloud, call)()}
        told = {(row["name"], row["id"], row.get("size_gib", 0)) for row in _beside(words) if row["id"]}
        found += [f"the {words} {name} ({ident}, {size} GiB) is on one side only" for name, ident, size in both ^ told]
    found += [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", "fake")]
    found += [f"left on the cloud: {item.kind} {item.id}" for item in cloud.leftovers(frozenset(_tokens(known)))]
    return found


def _addresses() -> list[dict[str, str]]:
    return [row for row in rows("ip", "list", "--cloud", "fake") if row["token"] and row["id"]]


def _tokens(known: dict[str, dict[str, str]]) -> list[str]:
    return [row["token"] for row in [*known.values(), *(row for words in BESIDE for row in _beside(words))]]


def _beside(words: str) -> list[dict[str, Any]]:
    """Return what the catalog knows of one kind of things beside VMs."""
    return rows(*words.split(), "list", "--cloud", "fake")


def _reset_things() -> None:
    """Leave one volume named data of 1 GiB."""
    for words in BESIDE:
        for row in _beside(words):
            if (row["name"], row.get("size_gib")) != ("data", 1):
                cms(*words.split(), "delete", row["name"], "--cloud", "fake", "--yes")
    if not _beside("volume"):
        cms("volume", "create", "data", "--cloud", "fake")


def _reset() -> None:
    """Leave one running VM named base with an address, a volume, and nothing else."""
    others = [row["name"] for row in rows("vm", "list", "--cloud", "fake") if row["name"] != "base"]
    if others:
        cms("vm", "delete", *others, "--yes")
    _reset_things()
    if not (base := rows("vm", "list", "base", "--cloud", "fake")):
        cms("vm", "boot", "micro", "--cloud", "fake", "--name", "base")
    elif base[0]["state"] == "awaiting_confirm":
        cms("vm", "revert", "base")
    elif base[0]["flavor"] != "small":
        cms("vm", "delete", "base", "--yes")
        cms("vm", "boot", "micro", "--cloud", "fake", "--name", "base")
    for row in _addresses():
        if not row["vm"]:
            cms("ip", "delete", row["name"], "--yes")
    cms("vm", "ip", "set", "base")
