"""Kill -9 of the manager of an experiment at random moments, on real VMs that are booted for it: each result once."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections import Counter
from typing import Any

from cloudms import paths
from cloudms.clouds.libvirt import host
from cloudms.jobs import store
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, rows

DESCRIPTION = "kill -9 of the manager of an experiment on libvirt, so often: every result is there once, no VM is left"
SMOKE = 2
NAME = "kill-exp"
FULL, FEW = (3, 20), (2, 4)
"""Nodes, and repeats of each of three parameters: of a campaign, and of a full test run."""
_LONGEST = 12.0
"""Seconds that a manager lives at most before it is killed."""
_LIMIT = 3600.0

SPEC = """\
name: kill-exp
commands:
  - echo "$number" >>"/tmp/begun-$CMS_EXPERIMENT"
  - echo "unique=$number-$alpha-$(cat /proc/sys/kernel/random/uuid)"
  - sleep {pause}
  - cp "/tmp/begun-$CMS_EXPERIMENT" begun.txt
outputs: [begun.txt]
parameters:
  alpha: [1, 2, 3]
  pause: [0.5]
values:
  unique: 'unique=(.*)'
"""


def run(times: int) -> Figure:
    """Kill the manager `times` times while one experiment runs, let the last one end it, and count everything."""
    cms("image", "build", "micro", limit=1200)
    size, repeats = FEW if times <= SMOKE else FULL
    file = paths.private(paths.home()) / "kill-exp.yaml"
    file.write_text(SPEC, encoding="utf-8")
    first = [
        "experiment", "run", str(file), "--name", NAME, "--cloud", "local", "--image", "micro", "--size", str(size),
        "--repeats", str(repeats),
    ]  # fmt: skip
    landed, lives = 0, []
    try:
        for _ in range(times):
            seconds = random.uniform(0.5, _LONGEST)
            when = killed(_words(first), seconds)
            landed += when is not None
            lives.append(when or seconds)
        begun = time.monotonic()
        cms(*_words(first), limit=_LIMIT)
        last = time.monotonic() - begun
        problems = [*_results(3 * repeats), *_left()]
    finally:
        _clean()
    text = f"{landed} of {times} kills hit a living manager (after {min(lives):.1f} to {max(lives):.1f} s; "
    text += f"the last one needed {last:.0f} s) of {3 * repeats} tasks on {size} VMs; "
    broken = min(len(problems), times)
    return Figure(times - broken, broken, text + ("; ".join(problems[:5]) or "nothing differs"))


def _words(first: list[str]) -> list[str]:
    """Return the command that goes on: with the experiment if it was written down, else from the beginning."""
    known = any(row["name"] == NAME for row in rows("experiment", "list"))
    return ["experiment", "watch", NAME] if known else first


def _told(row: dict[str, Any]) -> str:
    """Return what became of the attempts of a task."""
    return ", ".join(f"{each['node']}: {each['status']} {each.get('reason', '')}".strip() for each in row["history"])


def _results(tasks: int) -> list[str]:
    """Return what is wrong with the results: each task must be done, once, with a value that no other has."""
    found = rows("experiment", "results", NAME)
    problems = [f"task {row['task']} is {row['status']}" for row in found if row["status"] != "done"]
    for row in rows("experiment", "tasks", NAME):
        begun_by = [each["node"] for each in row["history"] if each["status"] != "returned"]  # the others gave it back
        if len(begun_by) != 1:
            problems.append(f"{row['name']} was begun {len(begun_by)} times ({_told(row)})")
    if len(found) != tasks or len({row["unique"] for row in found}) != tasks:
        problems.append(f"{len(found)} rows with {len({row['unique'] for row in found})} values for {tasks} tasks")
    begun: dict[str, list[str]] = {}
    for row in found:
        folder = store.folder_of(NAME, row["task"])
        printed = re.findall(r"unique=", (folder / "stdout").read_text())
        if len(printed) != 1:
            problems.append(f"task {row['task']} has printed {len(printed)} values")
        lines = (folder / "outputs" / "begun.txt").read_text().split()
        begun[row["node"]] = max(lines, begun.get(row["node"], []), key=len)  # it only grows: the longest has all
    counted = Counter(number for lines in begun.values() for number in lines)
    problems += [f"task {number} was begun {count} times" for number, count in counted.items() if count != 1]
    problems += [f"task {number} was not begun" for number in range(1, tasks + 1) if str(number) not in counted]
    return problems


def _left() -> list[str]:
    """Return what was booted and is not gone."""
    found = [f"{vm['name']} is in the catalog" for vm in rows("vm", "list", "--cloud", "local", "--label", _label())]
    argv = ["virsh", "-c", host.default_uri(), "list", "--all", "--name"]
    domains = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    found += [f"{name} is in libvirt" for name in domains if name.startswith(NAME)]
    found += [f"sweep finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", "local") if _ours(row)]
    return found


def _ours(row: dict[str, object]) -> bool:
    """Whether a finding is more than the operation of a manager that was killed."""
    return str(row["name"]).startswith(NAME)


def _label() -> str:
    return f"experiment={NAME}"


def _clean() -> None:
    cms("experiment", "cancel", NAME, "--yes", check=False)
    cms("vm", "delete", "--label", _label(), "--yes", "--missing-ok", check=False)
    cms("sweep", "--cloud", "local", "--apply", "--yes", check=False)
