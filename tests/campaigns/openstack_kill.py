"""Kill -9 of VM commands at random moments against a real OpenStack, then one sweep: both sides must agree."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, rows, timed
from tests.live.openstack import cms as config
from tests.live.openstack.accounts import Account
from tests.live.openstack.lab import Lab, borrowed, calm

DESCRIPTION = "kill -9 of vm boot --count 3, delete and resize on a real OpenStack: after a sweep all sides agree"
SMOKE = 3
CLOUD = config.CLOUD
BOOT = ["vm", "boot", "--cloud", CLOUD, "--count", "3", "--label", "campaign=kill"]
FLAVORS = ("m1.tiny", "m1.small")
VERBS = ("boot", "delete", "resize")
_BREATH = 0.2
"""Seconds between two rounds in which another may have the lab for itself."""
STATES = {
    "ACTIVE": "running", "SHUTOFF": "stopped", "VERIFY_RESIZE": "awaiting_confirm", "ERROR": "error",
    "SUSPENDED": "suspended", "SHELVED_OFFLOADED": "deallocated", "RESIZE": "resizing", "BUILD": "pending",
}  # fmt: skip


def run(times: int) -> Figure:
    """Kill a command `times` times, each of the verbs in turn, and compare the two sides after each."""
    problems: list[str] = []
    landed = 0
    with borrowed() as lab:
        account = lab.account()
        try:
            home = Path(os.environ["CLOUDMESH_CONFIG_DIR"])
            config.write_config(home, account)
            with calm():
                spans = _spans()
            for number in range(times):
                verb = VERBS[number % len(VERBS)]
                config.write_config(home, account, {"boot_from_volume": number % 2 == 1})
                time.sleep(_BREATH)
                with calm():
                    found, hit = _one(lab, account, verb, number, spans[verb])
                problems += found
                landed += hit
            with calm():
                problems += _end(lab, account)
        finally:
            lab.wipe(account)
    broken = min(times, len(problems))
    text = f"{landed} kills hit a running command ({', '.join(f'{verb} {spans[verb]:.1f} s' for verb in VERBS)})"
    return Figure(times - broken, broken, f"{text}; {'; '.join(problems[:5]) or 'nothing differs'}")


def _spans() -> dict[str, float]:
    """Return how long each command takes; `base` stays, to be resized."""
    cms("vm", "boot", "--cloud", CLOUD, "--name", "base")
    boot = timed(*BOOT, "--name", "first")
    resize = timed("vm", "resize", "base", FLAVORS[1], "--confirm")
    names = [row["name"] for row in _known() if row["name"] != "base"]
    return {"boot": boot, "resize": resize, "delete": timed("vm", "delete", *names, "--yes")}


def _one(lab: Lab, account: Account, verb: str, number: int, longest: float) -> tuple[list[str], bool]:
    """Kill one command at a random moment, sweep, and return what differs and whether it was hit."""
    when = killed(_words(verb, number), random.uniform(0.3, longest))
    lab.settle(account)
    cms("sweep", "--cloud", CLOUD, "--apply", "--yes")
    lab.settle(account)
    found = [f"{verb} {number} killed at {when or 0:.2f} s: {problem}" for problem in _differences(lab, account)]
    return found, when is not None


def _words(verb: str, number: int) -> list[str]:
    if verb == "boot":
        return [*BOOT, "--name", f"k{number}"]
    known = {row["name"]: row for row in _known()}
    if verb == "resize":
        if known["base"]["state"] == "awaiting_confirm":  # the way out of where an earlier kill left it
            cms("vm", random.choice(("confirm", "revert")), "base")
            known = {row["name"]: row for row in _known()}
        return ["vm", "resize", "base", *(each for each in FLAVORS if each != known["base"]["flavor"]), "--confirm"]
    spare = [name for name in known if name != "base"]
    if not spare:
        cms(*BOOT, "--name", f"s{number}")
        spare = [row["name"] for row in _known() if row["name"] != "base"]
    cms("vm", "ip", "set", spare[0])
    return ["vm", "delete", *spare, "--yes"]


def _known() -> list[dict[str, Any]]:
    return rows("vm", "list", "--cloud", CLOUD, "--cached")


def _differences(lab: Lab, account: Account) -> list[str]:
    """Return what the catalog and the cloud disagree about, and what nobody knows."""
    swept = [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", CLOUD)]
    known = {row["id"]: row for row in rows("vm", "list", "--cloud", CLOUD, "--refresh")}
    there = {row["id"]: row for row in lab.things(account, "server")}
    return [*swept, *_one_side(known, there), *_unlike(known, there), *_beside(lab, account, there)]


def _one_side(known: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    for thing in known.keys() - there.keys():
        yield f"{known[thing]['name']} ({thing or 'no id'}, {known[thing]['state']}) is in the catalog only"
    for thing in there.keys() - known.keys():
        yield f"{thing} ({there[thing]['name']}, {there[thing]['status']}) is on the cloud only"


def _unlike(known: dict[str, Any], there: dict[str, Any]) -> Iterator[str]:
    names = Counter(row["name"] for row in (*known.values(), *there.values()))
    yield from (f"the name {name} is there {count} times" for name, count in names.items() if count > 2)
    for thing in known.keys() & there.keys():
        row, real = known[thing], there[thing]
        state, flavor = STATES.get(real["status"], real["status"]), real["flavor"]["original_name"]
        if (row["name"], row["state"], row["flavor"]) != (real["name"], state, flavor):
            yield f"{row['name']} is {row['state']} {row['flavor']} here, {real['name']} {state} {flavor} there"


def _beside(lab: Lab, account: Account, there: dict[str, Any]) -> Iterator[str]:
    """Yield the ports, addresses and volumes that belong to no VM that is there."""
    ports = {port["id"]: port for port in lab.things(account, "port")}
    owners = {port["id"]: port["device_id"] for port in ports.values()}
    for thing in (*ports.values(), *lab.things(account, "address", "volume")):
        mounts = [mount["server_id"] for mount in thing.get("attachments", ())]
        of = mounts or [thing.get("device_id") or owners.get(thing.get("port_id") or "", "")]
        if not there.keys() & set(of):
            yield f"{thing['kind']} {thing['id']} of {', '.join(of) or 'nobody'} is left"


def _end(lab: Lab, account: Account) -> list[str]:
    """Delete everything by its name, and return what is still there."""
    cms("vm", "delete", *(row["name"] for row in _known()), "--yes")
    cms("sweep", "--cloud", CLOUD, "--apply", "--yes")
    lab.settle(account)
    return [
        f"at the end {thing['kind']} {thing.get('name') or thing['id']} is left"
        for thing in lab.things(account, "server", "port", "address", "volume", "snapshot")
    ]
