"""What `test_fanout` does beside its hosts, in their namespace: each scenario prints what it found as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cloudms import paths, ssh
from cloudms.fanout.action import Command
from cloudms.fanout.host import Host
from cloudms.fanout.one import Outlet
from cloudms.fanout.pool import Pool
from cloudms.scaling.reading import Section
from cloudms.scaling.sources import ssh as ssh_source
from cloudms.scaling.sources.base import gathered
from tests.live import sshd

FOLDER = Path(os.environ.get("HOSTS_FOLDER", "/tmp"))
HANGS, REFUSES, RESETS = 2300, 2301, 2302
LONG = 300.0
"""Seconds for what is due at once: the machine may be loaded."""


def host(number: int, name: str = "", **facts: Any) -> Host:
    """Return one of the hosts."""
    own = {"port": sshd.PORT, "key_file": str(FOLDER / "user"), "alias": f"cms-test-{number}", **facts}
    return Host(name=name or f"h{number}", cloud="lab", vm=f"lab/{name or number}", address=sshd.address(number), **own)


def memory() -> int:
    """Return the most memory that this process has had, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def full(name: str) -> Path:
    """Return a folder on a disk of 1 MiB."""
    folder = FOLDER / name
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    return folder


def faults(pool: Pool) -> dict[str, Any]:
    """Do one thing on hosts of which many are broken, each in its own way."""
    sshd.broken(HANGS, sshd.hang)
    sshd.broken(RESETS, sshd.reset)
    there, here = full("there"), full("here")
    other = (FOLDER / "user.pub").read_text().split()[:2]
    ssh.accept({"cms-test-3": " ".join(other)})
    kinds: dict[str, tuple[Host, str]] = {
        "hangs": (host(0, "hangs", port=HANGS), "true"),
        "refuses": (host(1, "refuses", port=REFUSES), "true"),
        "resets": (host(2, "resets", port=RESETS), "true"),
        "changed": (host(3, "changed"), "true"),
        "floods": (host(4, "floods"), "head -c 1000000000 /dev/zero"),
        "crashes": (host(5, "crashes"), "kill -SEGV $$"),
        "full-there": (host(6, "full-there"), f"head -c 9000000 /dev/zero > {there}/file"),
        "full-here": (host(7, "full-here"), "head -c 9000000 /dev/zero"),
        "stalls": (host(8, "stalls"), "sleep 4321"),
        "breaks": (host(9, "breaks"), "echo begun; kill -9 $PPID; sleep 4321"),
        "no-key": (host(10, "no-key", key_file=str(FOLDER / "nobody")), "true"),
        **{f"good-{n}": (host(20 + n, f"good-{n}"), f"echo {n}") for n in range(20)},
    }
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(FOLDER / "nobody")], check=True)
    before = memory()

    def outlet(each: Host) -> Outlet:
        folder = here if each.name == "full-here" else FOLDER
        return Outlet(folder / f"{each.name}.out", folder / f"{each.name}.err", limit=10_000_000)

    hosts = [each for each, _command in kinds.values()]
    commands = {each.name: Command(command=command) for each, command in kinds.values()}
    records = list(
        pool.each(hosts, "", action_of=lambda h: commands[h.name], outlet=outlet, timeout=90, connect_timeout=45)
    )
    after = memory()
    left = subprocess.run(["pgrep", "-f", "sleep 4321"], capture_output=True, text=True, check=False).stdout.split()
    return {
        "records": [record.to_public() for record in records],
        "grown": after - before,
        "kept": (FOLDER / "floods.out").stat().st_size,
        "left": len(left),
    }


def frozen(pool: Pool) -> dict[str, Any]:
    """Freeze the server of a kept connection: the command ends at its deadline, and the next one finds a way."""
    one = host(0)
    first = pool.run(one, "echo $PPID", connect_timeout=LONG)
    os.kill(int(first.stdout), 19)
    second = pool.run(one, "true", timeout=3)
    third = pool.run(one, "echo $PPID", timeout=LONG, connect_timeout=LONG)
    return {"second": second.to_public(), "third": third.to_public(), "another": third.stdout != first.stdout}


def kept(pool: Pool) -> dict[str, Any]:
    """Run twice over the same connections, and once more after they were cut."""
    hosts = [host(number) for number in range(10)]
    runs = [
        {r.name: r.stdout for r in pool.each(hosts, "echo $SSH_CONNECTION", connect_timeout=LONG)} for _ in range(2)
    ]
    subprocess.run(["pkill", "-f", "sshd: root"], check=True)
    again = {r.name: r.stdout for r in pool.each(hosts, "echo $SSH_CONNECTION", connect_timeout=LONG)}
    pins = paths.known_hosts().read_text().splitlines()
    return {"same": runs[0] == runs[1], "again": all(again.values()), "new": again != runs[0], "pins": len(pins)}


def bastion(pool: Pool) -> dict[str, Any]:
    """Go through a bastion, told by the host, and told by ~/.ssh/config."""
    lead = host(200, "bastion")
    hosts = [host(number, jump=(lead,)) for number in range(3)]
    told = [record.to_public() for record in pool.each(hosts, "echo $SSH_CONNECTION", connect_timeout=LONG)]
    folder = Path.home() / ".ssh"
    folder.mkdir(mode=0o700)
    key = " ".join((FOLDER / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[{sshd.address(201)}]:{sshd.PORT} {key}\n")
    (folder / "config").write_text(
        f"Host gate\n  HostName {sshd.address(201)}\n  Port {sshd.PORT}\n  User root\n  IdentityFile {FOLDER}/user\n"
        "Host 127.1.2.*\n  ProxyJump gate\n"
    )
    with Pool() as other:
        config = other.run(host(510), "echo $SSH_CONNECTION").to_public()
        direct = other.run(host(1), "echo $SSH_CONNECTION").to_public()
        unknown = other.run(host(2, jump=(Host(name="nobody", address=sshd.address(9), port=sshd.PORT),)), "true")
    return {"told": told, "config": config, "direct": direct, "unknown": unknown.to_public()}


def files(pool: Pool) -> dict[str, Any]:
    """Put and get files and folders, also where disks are full."""
    there, here = full("there"), full("here")
    one, big = host(0), FOLDER / "big"
    big.write_bytes(os.urandom(3_000_000))
    big.chmod(0o750)
    tree = FOLDER / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "a b").write_text("text")
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "in").symlink_to("sub/a b")
    back = FOLDER / "back"
    found = {
        "put": pool.put(one, big, f"{FOLDER}/deep/er/big"),
        "get": pool.get(one, f"{FOLDER}/deep/er/big", back / "big"),
        "put-folder": pool.put(one, tree, f"{FOLDER}/tree2"),
        "get-folder": pool.get(one, f"{FOLDER}/tree2", back / "tree"),
        "again-folder": pool.get(one, f"{FOLDER}/tree2", back / "tree"),
        "put-full": pool.put(one, big, f"{there}/big"),
        "get-full": pool.get(one, str(big), here / "big"),
        "get-none": pool.get(one, "/proc/nothing/da", back / "none"),
        "put-on-folder": pool.put(one, b"x", str(tree)),
        "put-home": pool.put(one, b"x", "~/.cms-fanout-test", mode=0o600),
    }
    (Path("/root") / ".cms-fanout-test").unlink(missing_ok=True)
    return {
        "records": {name: record.to_public() for name, record in found.items()},
        "same": (back / "big").read_bytes() == big.read_bytes() == (FOLDER / "deep/er/big").read_bytes(),
        "mode": (FOLDER / "deep/er/big").stat().st_mode & 0o777,
        "tree": sorted(str(each.relative_to(back)) for each in back.rglob("*")),
        "full": [str(each) for folder in (there, here) for each in folder.iterdir()],
        "text": (back / "tree" / "in").read_text(),
    }


def stopped(pool: Pool) -> dict[str, Any]:
    """Stop a run while it goes on."""
    cancel = threading.Event()
    hosts = [host(number) for number in range(6)]

    def outlet(_host: Host) -> Outlet:
        return Outlet(heard=lambda _stream, _text: cancel.set())

    records = list(
        pool.each(hosts, "echo begun; sleep 4322", width=3, cancel=cancel, outlet=outlet, connect_timeout=LONG)
    )
    left = subprocess.run(["pgrep", "-f", "sleep 4322"], capture_output=True, text=True, check=False).stdout.split()
    return {"states": [record.state for record in records], "left": len(left)}


def many(pool: Pool) -> dict[str, Any]:
    """Run on hosts by the hundred, twice."""
    hosts = [host(number) for number in range(100)]
    ok = [sum(record.ok for record in pool.each(hosts, "true", connect_timeout=LONG)) for _ in range(2)]
    before = time.monotonic()
    pool.close()
    return {"ok": ok, "pins": len(paths.known_hosts().read_text().splitlines()), "closed": time.monotonic() - before}


def scaling(pool: Pool) -> dict[str, Any]:
    """Measure members over SSH, idle and then busy; one of them does not answer."""
    hosts = [host(1), host(2), host(3, "refuses", port=REFUSES)]
    view: Any = SimpleNamespace(
        ctx=SimpleNamespace(pool=lambda: pool), vms=[], now=time.time(), group="web", balancer=None
    )
    ssh_source.hosts_of = lambda _ctx, _vms: hosts
    source = ssh_source.SshSource(Section({"timeout": "60s"}))
    first = source.samples(view)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    time.sleep(1.5)
    second = source.samples(view)
    for each in busy:
        each.kill()
    hosts[:] = hosts[2:]
    samples, problems = gathered([source], view)
    return {
        "first": sorted((each.metric, each.member, each.value) for each in first),
        "second": sorted((each.metric, each.member, each.value) for each in second),
        "silent": [len(samples), *problems],
    }


SCENARIOS: dict[str, Callable[[Pool], dict[str, Any]]] = {
    each.__name__: each for each in (faults, frozen, kept, bastion, files, stopped, many, scaling)
}

if __name__ == "__main__":
    with Pool() as made:
        sys.stdout.write(json.dumps(SCENARIOS[sys.argv[1]](made)) + "\n")
