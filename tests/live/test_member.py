"""The licence-plate service in a real VM, with its store on this machine: killed, frozen, saved, stopped; no loss."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.workload.wire import Reply, Wire, address
from tests.images import provide
from tests.live.plates import Desk, answered, sent, until

pytestmark = pytest.mark.live

NAME = f"plates-{os.getpid()}"
REQUESTS = 300


class Member:
    """A VM that serves, and how it is reached; `store` is the store of its answers."""

    def __init__(self, desk: Desk, store: str) -> None:
        self.desk = desk
        self.store = store
        self.url = ""

    def ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Reply:
        """Ask the service once."""
        with Wire(address(self.url), timeout=60) as wire:
            return wire.ask(method, path, document)

    def healthy(self) -> bool:
        """Whether it takes requests."""
        return self.ask("GET", "/health").status == 200

    def ssh(self, command: str) -> str:
        """Run a command in the VM and return what it printed."""
        return self.desk("ssh", NAME, "--", command).stdout

    def load(self, ledger: Path, number: int) -> subprocess.Popen[str]:
        """Start a load on it that is as fast as the machine allows: a fixed rate could be too much for a busy one."""
        return self.desk.start(
            "load", "run", "--url", self.url, "--closed", "6", "--count", str(number), "--ledger", str(ledger),
            "--store", self.store, "--timeout", "60", "--give-up", "1200",
        )  # fmt: skip

    def whole(self, load: subprocess.Popen[str], ledger: Path) -> dict[str, Any]:
        """Wait for the end of a load, which must be good, and return what its ledger proves."""
        said, err = load.communicate(timeout=1500)
        assert load.returncode == 0, said + err
        (verdict,) = self.desk.rows("load", "check", str(ledger), "--store", self.store)
        assert verdict["good"]
        assert verdict["sent"] == verdict["answered"] == verdict["stored"] == verdict["verified"]
        assert set(verdict["members"]) == {NAME}
        return verdict


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """Return a VM that was booted with the user data of the service."""
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    provide("micro", folder / "home")
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        found = Member(desk, store)
        guest = store.replace("127.0.0.1", "10.0.2.2")
        desk("workload", "user-data", "plates.sh", "--store", guest, "--slots", "4", "--seconds", "0.2")
        try:
            desk("vm", "boot", "micro", "--name", NAME, "--cloud", "local", "--user-data", "plates.sh")
            before = {row["id"] for row in desk.rows("vm", "ip", "list", NAME)}
            desk("vm", "ip", "set", NAME, "--port", "8080=8080")
            (host,) = (row["name"] for row in desk.rows("vm", "ip", "list", NAME) if row["id"] not in before)
            found.url = f"http://{host}:8080"
            until(found.healthy, "the service takes requests")
            yield found
        finally:
            desk("vm", "delete", NAME, "--yes", "--missing-ok")
            desk("sweep", "--cloud", "local", "--apply", "--yes")


def test_hundreds_of_requests_outlive_a_kill_of_the_service(member: Member, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load = member.load(ledger, REQUESTS)
    for share in (3, 2):
        until(lambda share=share: answered(ledger) >= REQUESTS // share, "requests are answered")  # type: ignore[misc]
        pid = member.ssh("pidof python3").strip()
        member.ssh(f"sudo kill -9 {pid}")
        until(lambda pid=pid: member.ssh("pidof python3 || true").strip() not in ("", pid), "it is started anew")  # type: ignore[misc]
    assert member.whole(load, ledger)["sent"] == REQUESTS


def test_a_member_that_was_frozen_and_saved_goes_on(member: Member, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    load = member.load(ledger, 60)
    until(lambda: answered(ledger) >= 5, "requests are answered")
    member.desk("vm", "suspend", NAME)
    member.desk("vm", "resume", NAME)
    until(lambda: answered(ledger) >= 10, "requests are answered again")
    member.desk("vm", "stop", NAME, "--save")
    member.desk("vm", "start", NAME)
    assert member.whole(load, ledger)["sent"] == sent(ledger) == 60


def test_a_member_that_was_stopped_serves_again_by_itself(member: Member) -> None:
    first = member.ask("POST", "/plate", {"id": "once-1", "plate": "KL-12-AB-3456"}).document
    member.desk("vm", "stop", NAME)
    member.desk("vm", "start", NAME)
    until(member.healthy, "the service takes requests after a boot")
    again = member.ask("POST", "/plate", {"id": "once-1", "plate": "KL-12-AB-3456"}).document
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["hash"] == again["hash"]


def test_the_script_is_run_anew_with_other_settings(member: Member) -> None:
    desk = member.desk
    guest = member.store.replace("127.0.0.1", "10.0.2.2")
    desk("workload", "user-data", "plates.sh", "--store", guest, "--slots", "7", "--seconds", "0.1")
    desk("put", "plates.sh", "/tmp/plates.sh", "--on", NAME)
    member.ssh("sudo sh /tmp/plates.sh")
    until(lambda: member.ask("GET", "/stats").document.get("slots") == 7, "it has its new slots")
    assert len(member.ssh("pidof python3").split()) == 1


def test_what_it_holds_is_for_root_and_it_runs_as_nobody(member: Member) -> None:
    token = member.desk.token_file.read_text().strip()
    assert token not in member.ssh("ps -o args; cat /proc/[0-9]*/cmdline 2>/dev/null || true")
    assert member.ssh("ls -l /usr/local/lib/cms-plates/settings.json").startswith("-rw------- ")
    assert member.ssh("stat -c %u /proc/$(pidof python3)").strip() == "65534"
    assert "Permission denied" in member.ssh("cat /usr/local/lib/cms-plates/settings.json 2>&1 || true")
