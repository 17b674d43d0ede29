"""Scaling real VMs on this machine: the seed's two, a member that is killed while busy, and controllers that are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.libvirt import host
from tests.images import provide
from tests.live.test_cms import CMS, Cms, virsh

pytestmark = pytest.mark.live

ME = os.getpid()
SEED, CREW = f"seed-{ME}", f"crew-{ME}"
FIRST, SECOND, OTHER = f"vm-1-{ME}", f"vm-2-{ME}", f"customer-db-{ME}"
LONG_S = 900.0
"""Seconds that a thing may take on a machine that emulates and is busy."""
NAMESPACE = "urn:cloudms:vm:1"
STRANGER = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>
"""
BY_CPU = """\
policies:
  - {kind: threshold, metric: cpu, above: 40, window: 6s}
min: 1
max: 2
interval: 1s
stabilisation: {down: 0s}
cooldown: {up: 10s, down: 10s}
on_in: stop
balancer: {slots: 2, idempotent: true, queue: 15m}
"""
FIXED = """\
policies: []
min: 2
max: 2
interval: 1s
on_in: delete
balancer: {slots: 2, idempotent: true, queue: 15m}
"""


def until(check: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is so; a process must not end meanwhile."""
    end = time.monotonic() + LONG_S
    while not check():
        assert time.monotonic() < end, "it never happened"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.5)


class House:
    """A home with the image, the store of answers, and what makes a VM a member."""

    def __init__(self, cms: Cms) -> None:
        self.cms = cms
        self.plates = cms.home / "plates.sh"
        self.begun: list[subprocess.Popen[str]] = []
        store = self.start("workload", "store", "--port", "0")
        assert store.stdout is not None
        self.url = store.stdout.readline().partition("listening at ")[2].strip()
        assert self.url

    def start(self, *words: str, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*CMS, *words], env=self.cms.env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        )  # fmt: skip
        self.begun.append(process)
        return process

    def member(self, *work: str) -> str:
        """Write the first-boot script of a member, and return its path."""
        guests = self.url.replace("127.0.0.1", "10.0.2.2")
        self.cms("workload", "user-data", str(self.plates), "--store", guests, *work)
        return str(self.plates)

    def policy(self, group: str, text: str) -> None:
        file = self.cms.home / "policy.yaml"
        file.write_text(text)
        self.cms("group", "policy", "set", group, str(file))

    def load(self, group: str, *words: str) -> subprocess.Popen[str]:
        patient = ("--timeout", "120", "--give-up", str(LONG_S))
        return self.start("load", "run", "--group", group, "--store", self.url, *patient, *words)

    def proved(self, ledger: Path) -> None:
        """Hold that every request was answered once and stored once."""
        (row,) = self.cms.rows("load", "check", str(ledger), "--store", self.url)
        assert row["good"], row
        assert row["sent"] == row["answered"] == row["stored"] > 0

    def groups(self) -> set[str]:
        """Return the names of the groups that have a policy here."""
        return {row["name"] for row in self.cms.rows("scaler", "list")}

    def statuses(self, group: str) -> dict[str, int]:
        """Return how many members of a group have which status."""
        (row,) = [row for row in self.cms.rows("scaler", "list") if row["name"] == group]
        counts: dict[str, int] = row["members"]
        return counts

    def serving(self, group: str) -> int:
        counts = self.statuses(group)
        return counts.get("in_service", 0) + counts.get("warming", 0)

    def close(self) -> None:
        for process in reversed(self.begun):
            if process.poll() is None:
                process.terminate()
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a home with the micro image and a store; nothing is left of it."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    made = House(Cms(home))
    try:
        yield made
    finally:
        made.close()
        for name in (SEED, CREW):  # and no other: those of others on this machine are listed, too
            if name in made.groups():
                made.cms("group", "delete", name, "--yes")
        made.cms("sweep", "--cloud", "local", "--apply", "--yes")


@pytest.fixture
def seed(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make the machines that were there before cloudms: vm-1 running, vm-2 shut off, and somebody else's, shut off."""
    elsewhere = Cms(tmp_path_factory.mktemp("elsewhere"))
    provide("micro", elsewhere.home)
    plates = house.member("--slots", "2", "--rounds", "20000")
    try:
        for name in (FIRST, SECOND):
            elsewhere("vm", "boot", "micro", "--name", name, "--cloud", "local", "--user-data", plates, limit=LONG_S)
        elsewhere("vm", "stop", SECOND, limit=LONG_S)
        for name, live in ((FIRST, ["--live"]), (SECOND, [])):
            virsh("metadata", name, "--uri", NAMESPACE, "--remove", "--config", *live)
        file = elsewhere.home / "stranger.xml"
        file.write_text(STRANGER.format(name=OTHER))
        virsh("define", str(file))
        yield
    finally:
        for name in (FIRST, SECOND, OTHER):
            for word in ("destroy", "undefine"):
                subprocess.run(["virsh", "-c", host.default_uri(), word, name], capture_output=True, check=False)
        elsewhere("sweep", "--cloud", "local", "--apply", "--yes")


@pytest.mark.usefixtures("seed")
def test_the_two_machines_of_the_seed_scale_by_their_processors(house: House) -> None:
    cms = house.cms
    assert {row["name"]: row["origin"] for row in cms.rows("vm", "list") if str(ME) in row["name"]} == dict.fromkeys(
        (FIRST, SECOND, OTHER), "foreign"
    )
    cms("vm", "adopt", FIRST, SECOND)
    for name in (FIRST, SECOND):
        cms("vm", "ip", "set", name, "--port", "8080=8080")
    cms("group", "create", SEED)
    cms("group", "add", SEED, FIRST, SECOND)
    house.policy(SEED, BY_CPU)
    scaler = house.start("scaler", "run", "--group", SEED, stdin=subprocess.PIPE)
    until(lambda: house.serving(SEED) == 1, scaler)
    assert house.statuses(SEED) == {"in_service": 1, "standby": 1}
    ledger = cms.home / "seed.ledger"
    load = house.load(SEED, "--closed", "4", "--delta", "0.01", "--for", "never", "--ledger", str(ledger))
    until(lambda: virsh("domstate", SECOND) == "running", scaler)
    until(lambda: house.serving(SEED) == 2, scaler)
    os.killpg(load.pid, signal.SIGINT)
    load.communicate(timeout=LONG_S)
    house.proved(ledger)
    until(lambda: "shut off" in (virsh("domstate", FIRST), virsh("domstate", SECOND)), scaler)
    assert virsh("domstate", OTHER) == "shut off"
    until(lambda: house.statuses(SEED) == {"in_service": 1, "standby": 1}, scaler)
    told, _ = scaler.communicate("terminate\n", timeout=LONG_S)
    assert scaler.returncode == 0, told
    assert "grows from 1 to 2 members" in told
    assert "shrinks from 2 to 1 member" in told
    (shown,) = cms.rows("vm", "info", SECOND)
    assert (shown["origin"], shown["keep_stopped"]) == ("adopted", False)
    cms("group", "delete", SEED, "--yes")
    assert {FIRST, SECOND, OTHER} <= set(virsh("list", "--all", "--name").split()), "what others made is never deleted"


def qemu(name: str) -> int:
    """Return the process of a running domain."""
    found = subprocess.run(
        ["pgrep", "-f", f"guest={re.escape(name)},"], capture_output=True, text=True, check=True, timeout=60
    )
    return int(found.stdout.split()[0])


def test_a_member_that_is_killed_while_busy_is_replaced_and_no_request_is_lost(house: House) -> None:
    cms = house.cms
    group = CREW
    plates = house.member("--slots", "2", "--seconds", "1")
    cms(
        "group", "create", group, "--size", "2", "--cloud", "local", "--image", "micro", "--user-data", plates,
        "--open", "8080", limit=LONG_S,
    )  # fmt: skip
    house.policy(group, FIXED)
    scaler = house.start("scaler", "run", "--group", group)
    until(lambda: house.serving(group) == 2, scaler)
    ledger = cms.home / "crew.ledger"
    load = house.load(group, "--rate", "2", "--for", "30m", "--ledger", str(ledger))
    (first, second) = sorted(row["name"] for row in cms.rows("vm", "list", "--group", group))
    until(lambda: any(row["sessions"] for row in cms.rows("balancer", "stats", group) if row["name"] == first), scaler)
    os.kill(qemu(first), signal.SIGKILL)
    until(lambda: first not in {row["name"] for row in cms.rows("vm", "list", "--group", group)}, scaler)
    until(lambda: house.serving(group) == 2, scaler)
    names = {row["name"] for row in cms.rows("vm", "list", "--group", group)}
    assert second in names
    assert len(names) == 2
    os.killpg(load.pid, signal.SIGINT)
    load.communicate(timeout=LONG_S)
    house.proved(ledger)
    replaced = [row for row in cms.rows("group", "history", group) if row["action"] == "replace"]
    assert [row["members"] for row in replaced] == [[first]]
    scaler.terminate()
    told, _ = scaler.communicate(timeout=LONG_S)
    assert scaler.returncode == 0, told
    cms("group", "delete", group, "--yes")
    assert not [name for name in virsh("list", "--all", "--name").split() if name.startswith(group)]
