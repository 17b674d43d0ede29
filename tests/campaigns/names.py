"""Many processes boot at the same moment: names are distinct, nothing fails, the counter is intact."""

from __future__ import annotations

import json
import subprocess

from tests.campaigns.figure import Figure
from tests.campaigns.house import CMS, cms, rows

DESCRIPTION = "20 processes boot on the fake cloud and 5 on libvirt at once: distinct names, no error, counter intact"
SMOKE = 1
LABEL = "campaign=names"


def run(times: int) -> Figure:
    """Do it `times` times."""
    cms("image", "build", "micro", limit=1200)
    problems: list[str] = []
    for _ in range(times):
        try:
            problems += _round("fake", 20, named=False) + _round("fake", 20, named=True)
            problems += _round("local", 5, named=False) + _round("local", 5, named=True)
        finally:
            cms("vm", "delete", "--label", LABEL, "--yes", "--missing-ok", check=False)
    bad = min(times, len(problems))
    return Figure(times - bad, bad, "; ".join(problems[:5]) or "all names distinct")


def _round(cloud: str, count: int, *, named: bool) -> list[str]:
    before = {vm["name"] for vm in rows("vm", "list", "--cloud", cloud)}
    counter = _counter()
    words = [*CMS, "vm", "boot", "micro", "--cloud", cloud, "--label", LABEL, "--wait", "running", "-o", "json"]
    words += ["--name", f"together-{cloud}", "--count", "2"] if named else []
    started = [
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    ended = [(process.communicate(timeout=600), process.returncode) for process in started]
    problems = [f"exit {code}: {streams[1].strip().splitlines()[-1:]}" for streams, code in ended if code]
    names = [vm["name"] for (out, _err), code in ended if not code for vm in json.loads(out)]
    wanted = count * (2 if named else 1)
    if len(names) != len(set(names)) or len(names) + 2 * len(problems) < wanted:
        problems.append(f"{len(names)} names for {wanted} VMs: {sorted(names)}")
    known = {vm["name"] for vm in rows("vm", "list", "--cloud", cloud)} - before
    if known != set(names):
        problems.append(f"the list and the replies differ by {sorted(known ^ set(names))}")
    if not named and _counter() - counter != count:
        problems.append(f"the counter grew by {_counter() - counter} for {count} boots")
    cms("vm", "delete", *names, "--yes")
    return problems


def _counter() -> int:
    from cloudms.config import Counter

    return int(Counter().get())
