"""Kill -9 of `vm boot`, `vm stop` and `vm delete` at random moments against libvirt, then one sweep."""

from __future__ import annotations

import subprocess
import time

from cloudms.clouds.libvirt import host
from tests.campaigns.figure import Figure
from tests.campaigns.house import cms, killed, moment, rows, timed

DESCRIPTION = "kill -9 of vm boot, stop and delete against libvirt, each so often: after a sweep all sides agree"
SMOKE = 2
BASE = "kill"
_SETTLE = 20.0


def run(times: int) -> Figure:
    """Kill each of the three verbs `times` times and compare catalog, domains, disks and forwards after each."""
    cms("image", "build", "micro", limit=1200)
    durations = _durations()
    problems: list[str] = []
    landed = 0
    try:
        for verb in ("boot", "stop", "delete"):
            for number in range(times):
                landed += _one(verb, number, durations[verb], problems)
    finally:
        _clean()
    total = 3 * times
    spans = ", ".join(f"{verb} {seconds:.1f} s" for verb, seconds in durations.items())
    text = f"{landed} of {total} kills hit a running command ({spans}); {'; '.join(problems[:5]) or 'nothing differs'}"
    return Figure(total - len(problems), len(problems), text)


def _durations() -> dict[str, float]:
    found = {"boot": timed(*_boot("kill-time"))}
    found["stop"] = timed("vm", "stop", "kill-time")
    cms("vm", "start", "kill-time")
    found["delete"] = timed("vm", "delete", "kill-time", "--yes")
    return found


def _boot(name: str) -> list[str]:
    return ["vm", "boot", "micro", "--name", name, "--label", "campaign=kill", "--cloud", "local"]


def _one(verb: str, number: int, seconds: float, problems: list[str]) -> bool:
    name = f"{BASE}-{verb}-{number}"
    if verb != "boot":
        cms(*_boot(name), "--wait", "running" if verb == "delete" else "ready")
    words = {"boot": _boot(name), "stop": ["vm", "stop", name], "delete": ["vm", "delete", name, "--yes"]}[verb]
    when = killed(words, moment(seconds))
    cms("sweep", "--cloud", "local", "--apply", "--yes")
    problems += [f"{name} killed at {when or 0:.2f} s: {problem}" for problem in _settled_differences()]
    cms("vm", "delete", name, "--yes", "--missing-ok")
    return when is not None


def _settled_differences() -> list[str]:
    """Return the differences that remain when guests that were asked to shut down have had the time to do so."""
    end = time.monotonic() + _SETTLE
    while (found := _differences()) and time.monotonic() < end:
        time.sleep(1)
    return found


def _differences() -> list[str]:
    """Return what the catalog, libvirt, the disks and the forwards disagree about."""
    known = {vm["name"]: vm for vm in rows("vm", "list", "--cloud", "local") if vm["name"].startswith(BASE)}
    domains = _domains()
    found = [f"{name} is in the catalog only" for name in known.keys() - domains.keys()]
    found += [f"{name} is in libvirt only" for name in domains.keys() - known.keys()]
    for name in known.keys() & domains.keys():
        running = domains[name] == "running"
        # one that was asked to shut down is stopping for five minutes, and running again when it does not obey
        state = known[name]["state"]
        if (state not in ("running", "stopping")) if running else state == "running":
            found.append(f"{name} is {known[name]['state']} in the catalog and {domains[name]} in libvirt")
        if running and not _forwarded(name, known[name]["ssh_host"]):
            found.append(f"{name} has no forward")
    tokens = {vm["token"] for vm in known.values()}
    found += [f"{file} is left" for file in _files(known) if not any(token in file for token in tokens)]
    found += [f"sweep still finds {row['what']} {row['name']}" for row in rows("sweep", "--cloud", "local")]
    return found


def _virsh(*words: str) -> str:
    argv = ["virsh", "-c", host.default_uri(), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def _domains() -> dict[str, str]:
    names = [name for name in _virsh("list", "--all", "--name").split() if name.startswith(BASE)]
    return {name: _virsh("domstate", name).strip() for name in names}


def _forwarded(name: str, address: str) -> bool:
    """Whether QEMU forwards the address; a guest that has just ended its shutdown needs none."""
    try:
        return f"{address} " in _virsh("qemu-monitor-command", name, "--hmp", "info usernet")
    except subprocess.CalledProcessError:
        return _virsh("domstate", name).strip() != "running"


def _files(known: dict[str, object]) -> list[str]:
    """Return the files of this catalog's VMs in the pool: their names carry its token, whose first part is its id."""
    from cloudms.context import Context
    from cloudms.engine.reserve import catalog_id

    ctx = Context()
    mine = catalog_id(ctx)
    ctx.close()
    return [file.name for file in host.pool_dir(host.default_uri()).rglob("*") if mine in file.name]


def _clean() -> None:
    cms("vm", "delete", "--label", "campaign=kill", "--yes", "--missing-ok", check=False)
    cms("sweep", "--cloud", "local", "--apply", "--yes", check=False)
