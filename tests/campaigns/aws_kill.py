"""Kill -9 of VM commands at random moments against a pretended AWS, then a second run: both sides must agree."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloudms.model import VmState
from tests.aws.emulator import Lab, running
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, rows, timed

DESCRIPTION = (
    "kill -9 of vm boot (one, three), delete and resize on a pretended AWS: after a second run all sides agree"
)
SMOKE = 6
BOOT = ["vm", "boot", "ubuntu-24.04", "--cloud", "aws", "--label", "campaign=kill"]
FLAVORS = ("t3.micro", "t3.small")
VERBS = ("boot", "boot3", "delete", "resize")
CHANGING = ("RunInstances", "TerminateInstances", "ModifyInstanceAttribute", "StopInstances", "StartInstances")
CROWD = 12
"""VMs that are kept for the rounds that delete one."""


def run(times: int) -> Figure:
    """Kill a command `times` times, each of the verbs in turn, and compare the two sides after each."""
    problems: list[str] = []
    landed = 0
    with running(boot_seconds=0.3, stop_seconds=0.2, delete_seconds=0.2, linger_seconds=90.0) as lab:
        lab.write_config(Path(os.environ["CLOUDMESH_CONFIG_DIR"]))
        cms(*BOOT, "--name", "base")
        spans = {
            "boot": timed(*BOOT, "--name", "first"), "boot3": timed(*BOOT, "--name", "many", "--count", "3"),
            "resize": timed("vm", "resize", "base", FLAVORS[1]), "delete": timed("vm", "delete", "first", "--yes"),
        }  # fmt: skip
        for number in range(times):
            verb = VERBS[number % len(VERBS)]
            found, hit = _one(lab, verb, number, spans[verb])
            problems += found
            landed += hit
    broken = min(times, len(problems))
    text = f"{landed} kills hit a running command ({', '.join(f'{verb} {spans[verb]:.1f} s' for verb in VERBS)})"
    return Figure(times - broken, broken, f"{text}; {'; '.join(problems[:5]) or 'nothing differs'}")


def _one(lab: Lab, verb: str, number: int, longest: float) -> tuple[list[str], bool]:
    """Kill one command at a random moment, run a second time, and return what differs and whether it was hit."""
    words = _words(verb, number)
    for action in CHANGING:  # as far away as a real cloud, so that kills hit the moments before and after the answer
        lab.fail(random.choice(("slow", "late")), action, seconds=random.uniform(0.0, 0.4), times=0)
    when = killed(words, random.uniform(0.3, longest))
    lab.heal()
    if number % 8 < 4:
        for operation in _unfinished():
            cms("operation", "resume", operation, check=False)
    cms("sweep", "--cloud", "aws", "--apply", "--yes")
    found = [f"{verb} {number} killed at {when or 0:.2f} s: {problem}" for problem in _differences(lab)]
    return found, when is not None


def _words(verb: str, number: int) -> list[str]:
    if verb == "boot":
        return [*BOOT, "--name", f"k{number}"]
    if verb == "boot3":
        return [*BOOT, "--name", f"k{number}", "--count", "3"]
    known = {row["name"]: row for row in _known()}
    if verb == "resize":
        return ["vm", "resize", "base", *(each for each in FLAVORS if each != known["base"]["flavor"])]
    spare = [name for name in known if name != "base"]
    if not spare:
        cms(*BOOT, "--name", f"k{number}", "--count", "3")
        spare = [f"k{number}"]
    gone = spare[:1] if len(spare) <= CROWD else spare[CROWD // 2 :]
    return ["vm", "delete", *gone, "--yes"]


def _unfinished() -> list[str]:
    return [row["name"] for row in rows("operation", "list") if row["state"] not in ("done", "failed", "cancelled")]


def _known() -> list[dict[str, Any]]:
    return rows("vm", "list", "--cloud", "aws", "--cached")


def _settled() -> list[dict[str, Any]]:
    """Return the catalog's VMs once none is on its way: what a killed command had started goes on without it."""
    for _ in range(40):
        known = _known()
        if not any(VmState(row["state"]).transient for row in known):
            return known
        time.sleep(0.25)
        cms("vm", "refresh", "--cloud", "aws")
    return known


def _differences(lab: Lab) -> list[str]:
    """Return what the catalog and the cloud disagree about, and what nobody knows."""
    cms("vm", "refresh", "--cloud", "aws")  # what the sweep has ended is shown as ending for a moment
    _settled()
    swept = [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", "aws")]
    known = {row["id"]: row for row in _settled()}
    there = {row["id"]: row for row in lab.things("instance") if row["state"] != "shutting-down"}
    left = [f"{_operation} is unfinished" for _operation in _unfinished()]
    return [*swept, *left, *_one_side(known, there), *_unlike(known, there), *_unknown(lab, there)]


def _one_side(known: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    for thing in known.keys() - there.keys():
        yield f"{known[thing]['name']} ({thing or 'no id'}, {known[thing]['state']}) is in the catalog only"
    for thing in there.keys() - known.keys():
        yield f"{thing} ({there[thing]['tags'].get('cms:name')}) is on the cloud only"


def _unlike(known: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    names = Counter(row["name"] for row in known.values())
    yield from (f"the name {name} is there {count} times" for name, count in names.items() if count > 1)
    for thing in known.keys() & there.keys():
        row, real = known[thing], there[thing]
        if (row["state"], row["flavor"]) != (real["state"], real["type"]):
            yield f"{row['name']} is {row['state']} {row['flavor']} here, {real['state']} {real['type']} there"


def _unknown(lab: Lab, there: dict[str, Any]) -> Iterator[str]:
    """Yield the volumes, keys, addresses and groups that belong to no VM that is there."""
    tokens = {row["tags"].get("cms:token", "") for row in there.values()}
    for thing in lab.things("volume", "key", "address", "group"):
        token = thing["tags"].get("cms:token", "")
        orphaned = thing["kind"] == "volume" and thing["instance"] not in there
        foreign = thing["kind"] == "address" or (token and token not in tokens)
        if orphaned or foreign:
            yield f"{thing['kind']} {thing['id']} is left ({thing['tags']})"
    shared = Counter((row["region"], row["kind"], row["name"]) for row in lab.things("group", "key"))
    yield from (f"{kind} {name} is there {count} times" for (_, kind, name), count in shared.items() if count > 1)
