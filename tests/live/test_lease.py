"""Leases that guests keep by themselves, with real VMs and no cloudms around when they end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import provide

from .test_cms import Cms, virsh

pytestmark = pytest.mark.live

LABEL = f"test=lease-{os.getpid()}"
BASE = f"lease-{os.getpid()}"
LIMIT = 240.0
"""Seconds that a slow machine may take for what is due at once."""


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with a home that has the micro image."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    yield runner
    runner("vm", "delete", "--label", LABEL, "--yes", "--missing-ok")


def until(state: str, name: str, limit: float = LIMIT) -> None:
    """Wait until libvirt says that a VM is in a state; cloudms is not asked."""
    end = time.monotonic() + limit
    while virsh("domstate", name) != state:
        assert time.monotonic() < end, f"{name} is {virsh('domstate', name)}"
        time.sleep(1.0)


def test_a_guest_goes_off_by_itself_and_a_renewed_one_stays(cms: Cms, tmp_path: Path) -> None:
    data = tmp_path / "setup.sh"
    data.write_text("#!/bin/sh\necho mine >/root/mine\n")
    short, renewed, more = f"{BASE}-short", f"{BASE}-renewed", ("--cloud", "local", "--label", LABEL)
    cms("vm", "boot", "micro", "--name", renewed, *more, "--ttl", "60s")
    cms("vm", "renew", renewed, "--ttl", "2h")
    cms("vm", "boot", "micro", "--name", short, *more, "--ttl", "40s", "--user-data", str(data))
    assert cms("ssh", short, "--", "sudo cat /root/mine").stdout == "mine\n"
    until("shut off", short)
    row = cms.rows("vm", "info", short)[0]
    assert (row["state"], row["reason"]) == ("stopped", "its lease has ended")
    told = cms("vm", "console", short).stdout
    assert "cms: the lease has ended, powering off" in told
    time.sleep(max(0.0, 65.0 - _age(cms, renewed)))
    assert virsh("domstate", renewed) == "running"
    found = cms.rows("sweep", "--cloud", "local")
    assert [(each["name"], each["what"]) for each in found] == [(short, "expired")]
    cms("sweep", "--cloud", "local", "--apply", "--yes")
    assert {row["name"] for row in cms.rows("vm", "list", "--label", LABEL)} == {renewed}


def _age(cms: Cms, name: str) -> float:
    """Return for how many seconds a guest runs."""
    return float(cms("ssh", name, "--", "cut -d' ' -f1 /proc/uptime").stdout)


def test_a_guest_that_is_off_is_renewed_for_its_next_start(cms: Cms) -> None:
    name = f"{BASE}-off"
    cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--label", LABEL, "--ttl", "2h")
    cms("vm", "stop", name)
    cms("vm", "renew", name, "--ttl", "30s")
    cms("vm", "start", name)
    until("shut off", name)
    cms("vm", "renew", name, "--ttl", "never")
    cms("vm", "start", name)
    cms("vm", "wait", name)
    assert cms("ssh", name, "--", "cut -d' ' -f1 /var/lib/cms/lease").stdout == "0\n"
    cms("vm", "delete", name, "--yes")


def test_without_its_agent_a_guest_is_told_over_ssh_and_else_the_renewal_fails(cms: Cms) -> None:
    name = f"{BASE}-mute"
    cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--label", LABEL)
    cms("ssh", name, "--", "sudo killall qemu-ga; sudo chmod 0 /usr/sbin/qemu-ga")
    cms("vm", "renew", name, "--ttl", "2h")  # made without a timer, gets one
    assert cms("ssh", name, "--", "pidof cms-lease sh >/dev/null; cat /run/cms-lease.pid").stdout.strip().isdigit()
    cms("vm", "suspend", name)
    refused = cms("vm", "renew", name, "--ttl", "3h", code=6)
    assert "could not be told and still ends itself" in refused.stderr
    cms("vm", "resume", name)
    expires = cms.rows("vm", "renew", name, "--ttl", "4h")[0]["expires"]
    seconds = cms("ssh", name, "--", "cut -d' ' -f1 /var/lib/cms/lease").stdout.strip()
    assert expires == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))
    cms("vm", "delete", name, "--yes")


def test_protection_holds_the_timer(cms: Cms) -> None:
    name = f"{BASE}-kept"
    cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--label", LABEL, "--ttl", "2h")
    cms("vm", "protect", name)
    held = cms("ssh", name, "--", "cut -d' ' -f1 /var/lib/cms/lease").stdout
    cms("vm", "unprotect", name)
    assert held == "0\n"
    assert int(cms("ssh", name, "--", "cut -d' ' -f1 /var/lib/cms/lease").stdout) > time.time()
    cms("vm", "delete", name, "--yes")


def test_debian_with_cloud_init_is_ready_at_the_end_of_user_data_and_ends_itself(cms: Cms, tmp_path: Path) -> None:
    provide("debian", cms.home)
    data = tmp_path / "user-data"
    data.write_text("#cloud-config\nruncmd:\n- [sh, -c, 'sleep 3; echo made > /opt/made']\n")
    name = f"{BASE}-debian"
    words = ["vm", "boot", "debian", "--name", name, "--cloud", "local", "--label", LABEL, "--ttl", "2h"]
    (made,) = json.loads(cms(*words, "--user-data", str(data), "--timeout", "500", "-o", "json", limit=600).stdout)
    assert made["login"] == "debian"
    asked = "cloud-init status; cat /opt/made; hostname; systemctl is-enabled cms-lease; systemctl is-active cms-lease"
    told = cms("ssh", name, "--", asked).stdout.splitlines()
    assert told == ["status: done", "made", name, "enabled", "active"]
    cms("vm", "renew", name, "--ttl", "5s")
    until("shut off", name)
    assert cms.rows("vm", "info", name)[0]["reason"] == "its lease has ended"
    cms("vm", "delete", name, "--yes")
