"""A hard stop right after the first boot, then a start: the guest's identity must survive."""

from __future__ import annotations

from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, timed

DESCRIPTION = "a new VM is switched off as soon as SSH answers and started again: SSH answers with the same host key"
SMOKE = 2


def run(times: int) -> Figure:
    """Boot, switch off at once, start, log in; `times` times with a fresh VM each."""
    cms("image", "build", "micro", limit=1200)
    problems, seconds = [], []
    for number in range(times):
        name = f"hard-{number}"
        try:
            cms("vm", "boot", "micro", "--name", name, "--cloud", "local")
            cms("vm", "stop", name, "--force")
            seconds.append(timed("vm", "start", name) + timed("vm", "wait", name, "--timeout", "60"))
            if cms("ssh", name, "--", "hostname").strip() != name:
                problems.append(f"{name} forgot its name")
        except AssertionError as error:
            problems.append(str(error))
        finally:
            cms("vm", "delete", name, "--yes", "--missing-ok", check=False)
    middle = sorted(seconds)[len(seconds) // 2] if seconds else 0.0
    return Figure(
        times - len(problems), len(problems), f"median {middle:.1f} s from start to login; {'; '.join(problems[:3])}"
    )
