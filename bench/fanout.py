"""`true` on 100 and on 500 SSH hosts: cloudms against Ansible, parallel-ssh and xargs with OpenSSH's ssh, in one run.

    python -m bench.fanout [--hosts 100,500] [--rounds 3] [--without ansible,xargs]

The hosts are addresses 127.1.x.y of a network namespace in which one real sshd answers at all of them (it needs root,
see tests/live/sshd.py). All contenders take turns, 50 hosts at once, with the same key and pinned host keys. `first` is
from the start of the process to the last record; `next` the same again over the connections that are kept, as the shell
and the REST service do it; `cms run` the whole command in a session of the shell, with its records written down.
Ansible (raw, 50 forks) goes twice, so that the second time finds its kept connections (ControlPersist); it and
parallel-ssh are installed by this benchmark into an environment of their own, ~/.cache/cloudms-bench/fanout.

The exit code is 1 when on 500 hosts the first takes more than 6.5 s, the next more than 1.1 s, the client more than
80 MB, or Ansible less than 6 times as long as the first, or less than 40 times as long as the next.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.live import sshd

WIDTH = 50
FIRST_S, NEXT_S, MOST_MB = 6.5, 1.1, 80
FIRST_TIMES, NEXT_TIMES = 6, 40
VENV = Path.home() / ".cache" / "cloudms-bench" / "fanout"
CONTENDERS = ("ansible", "parallel-ssh", "xargs")
PSSH = """
import sys
from pssh.clients import ParallelSSHClient
hosts = open(sys.argv[1]).read().split()
client = ParallelSSHClient(hosts, port=2222, user='root', pkey=sys.argv[2], pool_size=50, num_retries=1)
done = client.run_command('true')
client.join()
sys.exit(0 if sum(each.exit_code == 0 for each in done) == len(hosts) else 1)
"""


def peers() -> dict[str, str]:
    """Return the versions of what is measured against, installed where it is missing."""
    python = VENV / "bin" / "python"
    if not (VENV / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "ansible-core>=2.17", "parallel-ssh>=2.12"], check=True)
        (VENV / "ready").touch()
    told = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True).stdout
    wanted = ("ansible-core", "parallel-ssh")
    return {each["name"]: each["version"] for each in json.loads(told) if each["name"] in wanted}


class Peak:
    """The most memory that a process and its children have at one time, in MB, looked at 10 times a second."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, sum(map(_resident, _tree(self._pid))) / 1024)


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


class Lab:
    """Hosts, and the files that each contender wants."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.addresses = [sshd.address(number) for number in range(count)]
        key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "hosts").write_text("\n".join(self.addresses) + "\n")
        (folder / "known").write_text("".join(f"[{a}]:{sshd.PORT} {key}\n" for a in self.addresses))
        (folder / "inventory").write_text("\n".join(self.addresses) + "\n")
        home = folder / "home" / ".cloudmesh"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "known_hosts").write_text("".join(f"cms-bench-{n} {key}\n" for n in range(count)))

    def ours(self) -> list[str]:
        """Return the command line of ours."""
        return [sys.executable, "-m", "bench.fanout", "--inside", "pool", str(self.folder), str(self.count)]

    def theirs(self, name: str) -> list[str]:
        """Return the command line of another one."""
        if name == "parallel-ssh":
            return [str(VENV / "bin/python"), "-c", PSSH, str(self.folder / "hosts"), str(self.folder / "user")]
        known = f"-o UserKnownHostsFile={self.folder}/known -o BatchMode=yes -o LogLevel=ERROR"
        if name == "ansible":
            return [
                str(VENV / "bin/ansible"), "all", "-i", str(self.folder / "inventory"), "-m", "raw", "-a", "true", "-f",
                str(WIDTH), "-u", "root", "--private-key", str(self.folder / "user"), "-e", f"ansible_port={sshd.PORT}",
                f"--ssh-common-args={known}",
            ]  # fmt: skip
        ssh = f"ssh {known} -i {self.folder}/user -p {sshd.PORT}"
        return ["xargs", "-a", str(self.folder / "hosts"), "-P", str(WIDTH), "-I{}", *ssh.split(), "root@{}", "true"]

    def environment(self) -> dict[str, str]:
        """Return what all of them see."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
        cfg = {
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "a"),
        }
        return {**kept, **cfg, "HOME": str(self.folder / "home"), "PYTHONPATH": str(Path(__file__).parents[1])}


def timed(lab: Lab, words: list[str]) -> tuple[float, float, str]:
    """Return the seconds and the MB of one command, and what it printed."""
    begun = time.monotonic()
    process = subprocess.Popen(
        words, env=lab.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with Peak(process.pid) as peak:
        out, _ = process.communicate(timeout=1800)
    took = time.monotonic() - begun
    if process.returncode:
        raise SystemExit(f"{words[0]} ended with {process.returncode}: {out[-600:]}")
    return took, peak.most, out


def pool(folder: Path, count: int) -> dict[str, float]:
    """Run `true` on all hosts with a pool: twice over the same connections."""
    from cloudms.fanout.host import Host
    from cloudms.fanout.pool import Pool

    hosts = [
        Host(
            name=f"h{n}", address=sshd.address(n), port=sshd.PORT, key_file=str(folder / "user"), alias=f"cms-bench-{n}"
        )
        for n in range(count)
    ]
    found: dict[str, float] = {}
    with Pool() as made:
        for name in ("first", "second", "third", "fourth"):
            begun = time.monotonic()
            ok = sum(record.ok for record in made.each(hosts, "true", width=WIDTH))
            found[name] = time.monotonic() - (begun if found else 0.0)  # of the first, when it ended
            if ok != count:
                raise SystemExit(f"{name}: {ok} of {count} hosts")
    return {"first": found["first"], "next": median((found["second"], found["third"], found["fourth"]))}


def shell(folder: Path, count: int) -> dict[str, float]:
    """Run `true` on all hosts with the whole of `cms run`, twice in one session, as the shell does."""
    from cloudms.catalog.sqlite import SqliteCatalog
    from cloudms.doors.screen import Screen
    from cloudms.doors.session import Session
    from cloudms.model import Vm, VmState

    home = Path.home() / ".cloudmesh"
    (home / "cloudmesh.yaml").write_text(
        "cloudmesh: {default: {cloud: local}, cloud: {local: {cm: {kind: libvirt}}}}\n"
    )
    catalog = SqliteCatalog(home / "catalog.sqlite")
    vms = [
        Vm(
            name=f"h{n}", cloud="local", id=f"id{n}", token=f"bench-{n}", state=VmState.RUNNING, login="root",
            ssh_host=sshd.address(n), ssh_port=sshd.PORT, ssh_key=str(folder / "user"),
        )
        for n in range(count)
    ]  # fmt: skip
    catalog.put("vm", {vm.key: vm.to_document() for vm in vms})
    catalog.close()
    found: dict[str, float] = {}
    session = Session(Screen(quiet=True), door="shell")
    for name in ("first", "second", "third", "fourth"):
        begun = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            code = session.run(["run", f"h[0-{count - 1}]", "--", "true"])
        found[name] = time.monotonic() - (begun if found else 0.0)
        if code:
            raise SystemExit(f"{name}: exit {code}")
    session.close()
    return {"first": found["first"], "next": median((found["second"], found["third"], found["fourth"]))}


def measure(folder: Path, count: int, rounds: int, others: list[str]) -> dict[str, Any]:
    """Return the medians of all contenders on so many hosts; each has one turn in every round."""
    lab = Lab(folder, count)
    told: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        told.setdefault(name, []).append(value)

    for _ in range(rounds):
        begun = time.monotonic()  # the same clock in every process
        _, most, out = timed(lab, lab.ours())
        inside = json.loads(out.splitlines()[-1])
        add("MB", most), add("first", inside["first"] - begun), add("next", inside["next"])
        words = [sys.executable, "-m", "bench.fanout", "--inside", "shell", str(folder), str(count)]
        begun = time.monotonic()
        _, most, out = timed(lab, words)
        inside = json.loads(out.splitlines()[-1])
        add("cms MB", most), add("cms first", inside["first"] - begun), add("cms next", inside["next"])
        for name in others:
            took, most, _ = timed(lab, lab.theirs(name))
            add(name, took), add(f"{name} MB", most)
            if name == "ansible":
                add("ansible, kept", timed(lab, lab.theirs(name))[0])
                subprocess.run(["pkill", "-x", "ssh"], check=False)  # in this namespace there are no others
    return {name: median(values) for name, values in told.items()}


def report(count: int, found: dict[str, Any], others: list[str]) -> list[str]:
    """Print what was measured, and return the promises that were broken."""
    say = sys.stdout.write
    say(f"\n{count} hosts\n")
    say(f"  {'pool, first':<18}{found['first']:8.2f} s {found['MB']:8.0f} MB\n")
    say(f"  {'pool, next':<18}{found['next']:8.2f} s\n")
    say(f"  {'cms run, first':<18}{found['cms first']:8.2f} s {found['cms MB']:8.0f} MB\n")
    say(f"  {'cms run, next':<18}{found['cms next']:8.2f} s\n")
    for name in others:
        ratios = f"{found[name] / found['first']:6.1f} x first {found[name] / found['next']:6.1f} x next"
        say(f"  {name:<18}{found[name]:8.2f} s {found[f'{name} MB']:8.0f} MB  {ratios}\n")
    if "ansible" in others:
        again = found["ansible, kept"]
        say(f"  {'ansible, kept':<18}{again:8.2f} s {'':27}{again / found['next']:6.1f} x next\n")
    if count < 500:
        return []
    checks: list[tuple[str, bool]] = [
        (f"first within {FIRST_S} s", found["first"] <= FIRST_S),
        (f"next within {NEXT_S} s", found["next"] <= NEXT_S),
        (f"at most {MOST_MB} MB", found["MB"] <= MOST_MB),
    ]
    if "ansible" in others:
        checks += [
            (f"Ansible at least {FIRST_TIMES} x the first", found["ansible"] >= FIRST_TIMES * found["first"]),
            (f"Ansible at least {NEXT_TIMES} x the next", found["ansible"] >= NEXT_TIMES * found["next"]),
        ]
    return [what for what, kept in checks if not kept]


def main() -> int:
    """Measure and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", default="100,500", help="how many, several joined by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", default="", help=f"leave out some of {', '.join(CONTENDERS)}")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--beside", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        what, folder, count = asked.inside
        inside: Callable[[Path, int], dict[str, float]] = {"pool": pool, "shell": shell}[what]
        sys.stdout.write("\n" + json.dumps(inside(Path(folder), int(count))) + "\n")
        return 0
    others = [name for name in CONTENDERS if name not in asked.without.split(",")]
    if asked.beside:
        broken = []
        for count in map(int, asked.hosts.split(",")):
            broken += report(count, measure(Path(asked.beside), count, asked.rounds, others), others)
        sys.stdout.write("".join(f"BROKEN: {what}\n" for what in broken) or "\nall promises are kept\n")
        return 1 if broken else 0
    if why := sshd.missing():
        raise SystemExit(f"there can be no hosts here: {why}")
    sys.stdout.write(f"{peers() if set(others) - {'xargs'} else ''} load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        words = ["--beside", folder, "--hosts", asked.hosts, "--rounds", str(asked.rounds), "--without", asked.without]
        return subprocess.run(sshd.words(Path(folder), "-m", "bench.fanout", *words), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
