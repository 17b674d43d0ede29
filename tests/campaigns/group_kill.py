"""Kill -9 of group commands at random moments on two fake clouds: in the end each member is there exactly once."""

from __future__ import annotations

import random

from cloudms import paths
from cloudms.clouds.base import Setup
from cloudms.clouds.fake import FakeCloud
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, moment, rows, timed

DESCRIPTION = (
    "kill -9 of group create, scale up, scale down and delete over two fake clouds: resumed, or swept and said again, "
    "the group has as many members as it should on all sides"
)
SMOKE = 1
NAME = "crew"
CLOUDS = ("near", "far")
CONFIG = """\
cloudmesh:
  default: {cloud: near}
  cloud:
    local: {cm: {active: false}}
    near: {cm: {kind: fake, active: true}, default: {image: micro}}
    far: {cm: {kind: fake, active: true}, default: {image: micro}, refuse: {batch: it makes one VM at a time}}
"""
CREATE = ("group", "create", NAME, "--size", "4", "--cloud", ",".join(CLOUDS))
CHANGES = {
    "create": (CREATE, 4),
    "scale up": (("group", "scale", NAME, "7"), 7),
    "scale down": (("group", "scale", NAME, "3", "--yes"), 3),
    "delete": (("group", "delete", NAME, "--yes"), 0),
}
"""What is killed, in this order, and how many members there are when it has been done."""


def run(times: int) -> Figure:
    """Do it all `times` times."""
    file = paths.private(paths.home()) / "cloudmesh.yaml"
    file.touch(mode=0o600)
    file.write_text(CONFIG)
    cms(*CREATE)
    cms("group", "delete", NAME, "--yes")
    seconds = timed(*CREATE)
    cms("group", "delete", NAME, "--yes")
    problems: list[str] = []
    landed = 0
    for _ in range(times):
        for what, (words, wanted) in CHANGES.items():
            when = killed(words, moment(seconds))
            landed += when is not None
            _mend(words, wanted)
            problems += [f"{what} killed at {when or 0:.2f} s: {problem}" for problem in _differences(wanted)]
    total = times * len(CHANGES)
    text = f"{landed} kills hit a running command; {'; '.join(problems[:5]) or 'nothing differs'}"
    bad = min(total, len(problems))
    return Figure(total - bad, bad, text)


def _mend(words: tuple[str, ...], wanted: int) -> None:
    """Let the command be finished: by a resume of what it has written down, or by a sweep; then it is said again."""
    left = rows("operation", "list", "--state", "interrupted")
    if left and random.random() < 0.5:
        for operation in left:
            cms("operation", "resume", operation["name"])
    else:
        cms("sweep", "--apply", "--yes")
    there = any(group["name"] == NAME for group in rows("group", "list"))
    if wanted and there:
        cms("group", "scale", NAME, str(wanted), "--yes")
    elif there or wanted:
        cms(*words)


def _differences(wanted: int) -> list[str]:
    """Return what is not as it should be when a command has been done."""
    real = sorted(
        vm.name
        for cloud in CLOUDS
        for vm in FakeCloud(Setup(name=cloud)).list_vms()
        if vm.state not in ("terminating", "terminated")
    )
    known = sorted(row["name"] for row in rows("vm", "list"))
    groups = {row["name"]: row for row in rows("group", "list")}
    found = [] if len(real) == wanted else [f"the clouds have {len(real)} VMs and not {wanted}: {real}"]
    found += [] if known == real else [f"the catalog knows {known} and the clouds have {real}"]
    if wanted:
        crew = groups.get(NAME)
        size, desired = (crew["size"], crew["desired"]) if crew else (0, None)
        found += [] if (size, desired) == (wanted, wanted) else [f"the group has {size} and wants {desired}"]
    elif groups:
        found.append(f"there are still groups: {sorted(groups)}")
    return found + [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep")]
