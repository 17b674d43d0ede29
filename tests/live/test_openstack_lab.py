"""The OpenStack that tests stand on: who ends it, what it tells, and how its services die and come back."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.openstack import bringup, lending, packages, processes

pytestmark = [pytest.mark.live, pytest.mark.services]


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let another folder remember who uses the lab, and note when it would be ended."""
    said: list[str] = []
    monkeypatch.setattr(lending, "RUN", tmp_path)
    monkeypatch.setattr(lending, "OURS", tmp_path / "lent")
    monkeypatch.setattr(bringup, "down", lambda: said.append("down"))
    yield said


def test_what_tests_have_started_is_ended_by_the_last_of_them(ended: list[str]) -> None:
    with lending.held():
        lending.note(fresh=True, lent=True)
        with lending.held():
            lending.note(fresh=False, lent=True)
        assert ended == []
    assert ended == ["down"]


@pytest.mark.parametrize("order", [("person", "test"), ("test", "person")])
def test_what_a_person_wants_to_have_stays(ended: list[str], order: tuple[str, ...]) -> None:
    with lending.held():
        for fresh, who in zip((True, False), order, strict=True):
            lending.note(fresh=fresh, lent=who == "test")
    assert ended == []


def test_another_process_that_uses_it_ends_it(ended: list[str], tmp_path: Path) -> None:
    with (tmp_path / "users").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with lending.held():
            lending.note(fresh=True, lent=True)
        assert ended == []
    with lending.held():
        pass
    assert ended == ["down"]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a service with a child, which takes no notice of a polite request to end."""
    for name in ("RUN", "LOG", "FOLDER"):
        monkeypatch.setattr(processes, name, tmp_path)
    script = "import signal, subprocess, time; signal.signal(15, signal.SIG_IGN); subprocess.Popen(['sleep', '600'])"
    code = f"{script}; print('ready', flush=True); time.sleep(600)"
    processes.start("stubborn", [sys.executable, "-c", code], {})
    processes.wait("stubborn", lambda: "ready" in (tmp_path / "stubborn.log").read_text())
    yield "stubborn"
    processes.stop(["stubborn"], grace=0)


def test_a_service_ends_with_its_children(service: str) -> None:
    pid = processes.pid_of(service)
    assert pid
    assert not processes.start(service, ["false"], {})
    processes.stop([service], grace=0.2)
    assert processes.pid_of(service) is None
    listed = subprocess.run(["ps", "-o", "stat=", "-g", str(pid)], capture_output=True, text=True, check=False).stdout
    assert all(state.startswith("Z") for state in listed.split())


def test_a_number_that_is_anothers_by_now_is_no_service(service: str, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (tmp_path / "other.pid").write_text(str(stranger.pid))
        processes.stop(["other"], grace=0)
        assert stranger.poll() is None
        stranger.kill()


def test_a_service_that_ends_is_named_with_its_log(service: str) -> None:
    processes.start("gone", ["false"], {})
    with pytest.raises(processes.Broken, match="gone has ended, see"):
        processes.wait("gone", lambda: False)


def test_what_cannot_be_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "absent", lambda: ["memcached"])
    monkeypatch.setattr(packages.shutil, "which", lambda _name: None)
    monkeypatch.setattr(bringup, "runs", lambda: False)
    assert lending.missing() == "memcached is not installed, and there is no apt-get"
