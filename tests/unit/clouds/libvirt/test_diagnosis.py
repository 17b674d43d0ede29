from __future__ import annotations

import importlib.util
import io
import os
import resource
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.libvirt import accel, diagnosis, host
from cloudms.clouds.libvirt.diagnosis import Check
from cloudms.errors import Denied, Invalid, NotReady

SYSTEM, SESSION = host.SYSTEM_URI, host.SESSION_URI
REPAIR = Check("packages", "fail", "missing", "type it", (("apt-get", "update"), ("apt-get", "install", "a b")))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect the commands instead of running them; a command with "broken" in it fails."""
    ran: list[list[str]] = []

    def call(argv: list[str], *, limit: float = 0) -> subprocess.CompletedProcess[str]:
        ran.append(argv)
        broken = any("broken" in word for word in argv)
        return subprocess.CompletedProcess(argv, 100 if broken else 0, "version 9\nmore\n", "E: no such package\n")

    monkeypatch.setattr(diagnosis, "_call", call)
    return ran


def user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_every_package_line_has_a_sign_and_a_reason() -> None:
    listed = list(diagnosis.packages())
    assert len({package.name for package in listed}) == len(listed) > 10
    for package in listed:
        assert package.wanted_by in {"all", "root", "user", "build"}
        assert package.sign
        assert package.why


def test_a_missing_package_comes_with_the_command_for_exactly_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_there", lambda sign: sign not in ("qemu-img", "newuidmap", "@headers"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(host, "find_program", lambda name: f"/usr/bin/{name}")
    user(monkeypatch, 1000)
    check = diagnosis.check_packages(SESSION)
    assert check.state == "fail"
    assert check.hint == "apt-get install -y --no-install-recommends qemu-utils uidmap"
    assert check.would_run == f"apt-get update -q && {check.hint}"
    assert "makes their disks" in check.message


def test_what_only_building_needs_is_not_asked_for_once_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_there", lambda sign: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    before = {package.name for package in diagnosis.missing_packages(SYSTEM)}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    after = {package.name for package in diagnosis.missing_packages(SYSTEM)}
    assert before - after == {"python3-venv", "libvirt-dev", "pkg-config", "gcc", "libc6-dev", "python3-dev"}


def test_a_distribution_without_apt_gets_no_apt_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_there", lambda sign: False)
    monkeypatch.setattr(host, "find_program", lambda name: None)
    check = diagnosis.check_packages(SYSTEM)
    assert (check.state, check.fix) == ("fail", ())
    assert "apt" not in check.hint


def test_the_signs_are_commands_paths_and_checks(tmp_path: Path) -> None:
    assert diagnosis._there("sh")
    assert diagnosis._there(str(tmp_path))
    assert not diagnosis._there(str(tmp_path / "none"))
    assert not diagnosis._there("no-such-command")
    assert diagnosis._there("@venv")


def test_a_repair_runs_its_commands_in_order(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    user(monkeypatch, 0)
    assert diagnosis.fix(REPAIR) == "apt-get update && apt-get install 'a b'"
    assert calls == [["apt-get", "update"], ["apt-get", "install", "a b"]]


def test_an_ordinary_users_repair_goes_through_sudo(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    user(monkeypatch, 1000)
    monkeypatch.setattr(host, "find_program", lambda name: "/usr/bin/sudo")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    diagnosis.fix(REPAIR)
    assert calls[0] == ["/usr/bin/sudo", "-n", "apt-get", "update"]


def test_without_sudo_the_command_is_named(calls: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    user(monkeypatch, 1000)
    monkeypatch.setattr(host, "find_program", lambda name: None)
    with pytest.raises(Denied) as caught:
        diagnosis.fix(REPAIR)
    assert caught.value.hint == "as root: apt-get update"
    assert calls == []


def test_a_repair_that_fails_says_what_the_command_said(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    user(monkeypatch, 0)
    with pytest.raises(NotReady, match="broken-step failed: E: no such package"):
        diagnosis.fix(Check("x", "fail", "x", fix=(("broken-step",), ("never",))))
    assert len(calls) == 1


def test_a_check_without_a_repair_is_refused() -> None:
    with pytest.raises(Invalid, match="disk"):
        diagnosis.fix(Check("disk", "warn", "little"))


def test_a_program_is_ok_with_its_version_or_fails_with_the_reason(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "find_program", lambda name: None if name == "gone" else f"/usr/bin/{name}")
    assert diagnosis.check_program("tool", "tool") == Check("tool", "ok", "version 9")
    assert diagnosis.check_program("tool", "gone").message == "gone is not installed"
    assert diagnosis.check_program("tool", "broken").state == "fail"


def test_a_program_that_cannot_run_is_an_answer_and_no_exception(tmp_path: Path) -> None:
    assert diagnosis._call([str(tmp_path / "none")]).returncode == 127
    assert diagnosis._call(["sleep", "30"], limit=0.05).returncode == 124


def test_the_kvm_trap_is_a_failure_with_its_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "kvm"
    monkeypatch.setattr(host, "KVM_NODE", node)
    assert diagnosis.check_kvm_device(SYSTEM).state == "warn"
    node.touch()
    monkeypatch.setattr(host, "kvm_openable", lambda uri: False)
    check = diagnosis.check_kvm_device(SYSTEM)
    assert check.state == "fail"
    assert check.would_run == f"chgrp kvm {node} && chmod 660 {node}"
    monkeypatch.setattr(host, "kvm_openable", lambda uri: True)
    assert diagnosis.check_kvm_device(SYSTEM).state == "ok"


def test_a_session_user_without_the_device_is_told_how_to_join_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "kvm"
    node.touch()
    monkeypatch.setattr(host, "KVM_NODE", node)
    monkeypatch.setattr(host, "is_session", lambda uri: True)
    monkeypatch.setattr(host, "kvm_openable", lambda uri: False)
    check = diagnosis.check_kvm_device(SESSION)
    assert check.state == "warn"
    assert check.would_run.startswith("usermod -aG kvm ")


@pytest.mark.parametrize(
    ("kvm", "tcg", "state", "words"),
    [(True, True, "ok", "kvm"), (False, True, "warn", "software emulation"), (False, False, "fail", "tcg")],
)
def test_acceleration_is_judged_by_the_probe(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, kvm: bool, tcg: bool, state: str, words: str
) -> None:
    choice = accel.Choice("kvm" if kvm else "tcg", "kvm said so")
    monkeypatch.setattr(accel, "choose", lambda *_, **__: choice)
    monkeypatch.setattr(accel, "probe", lambda *_, **__: accel.ProbeResult("tcg", tcg, "", 0.1, "tcg said so"))
    check = diagnosis.check_acceleration(SYSTEM, clock)
    assert check.state == state
    assert words in check.message


@pytest.mark.parametrize(("gib", "state"), [(11, "ok"), (9, "warn"), (1, "fail")])
def test_disk_space_has_two_thresholds(monkeypatch: pytest.MonkeyPatch, gib: int, state: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, gib * diagnosis.GIB))
    assert diagnosis.check_disk(SYSTEM).state == state


@pytest.mark.parametrize(("kib", "state"), [(2 << 20, "ok"), (1 << 19, "warn"), (1 << 17, "fail")])
def test_memory_has_two_thresholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kib: int, state: str) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal:       1 kB\nMemAvailable:   {kib} kB\n")
    monkeypatch.setattr(diagnosis, "MEMINFO", meminfo)
    assert diagnosis.check_memory().state == state


def test_without_the_binding_both_checks_say_how_to_get_it(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for check in (diagnosis.check_binding(), diagnosis.check_libvirt(SYSTEM, clock)):
        assert check.state == "fail"
        assert check.hint == 'pip install "cloudms[libvirt]"'


def test_another_machines_hypervisor_is_only_connected_to(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "check_libvirt", lambda uri, clock: Check("libvirt", "ok", uri))
    checks = diagnosis.diagnose("qemu+ssh://lab/system", clock=clock)
    assert [check.name for check in checks] == ["binding", "libvirt"]


def test_the_systems_libvirt_is_for_members_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(diagnosis.check_groups(SESSION)) == []
    user(monkeypatch, 65534)
    monkeypatch.setattr(diagnosis, "_in_group", lambda name: False)
    (check,) = diagnosis.check_groups(SYSTEM)
    assert check.would_run == "usermod -aG libvirt nobody"
    monkeypatch.setattr(diagnosis, "_in_group", lambda name: True)
    assert [check.state for check in diagnosis.check_groups(SYSTEM)] == ["ok"]


@pytest.mark.parametrize(
    ("uri", "limit", "version", "warned"),
    [
        (SESSION, 0, 11003000, True),
        (SESSION, 0, 9000000, False),
        (SESSION, resource.RLIM_INFINITY, 11003000, False),
        (SYSTEM, 0, 11003000, False),
    ],
)
def test_limited_core_dumps_are_told_where_they_stop_a_start(
    monkeypatch: pytest.MonkeyPatch, uri: str, limit: int, version: int, warned: bool
) -> None:
    user(monkeypatch, 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (0, limit))
    monkeypatch.setattr(diagnosis, "_binding_version", lambda: version)
    assert [check.name for check in diagnosis.check_core_limit(uri)] == ["core-limit"] * warned


@pytest.mark.parametrize(("systemd", "collected", "warned"), [(True, False, 0), (False, True, 0), (False, False, 1)])
def test_a_first_process_that_collects_nobody_is_told(
    calls: list[list[str]],
    clock: ManualClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    systemd: bool,
    collected: bool,
    warned: int,
) -> None:
    monkeypatch.setattr(host, "systemd_runs", lambda: systemd)
    monkeypatch.setattr(diagnosis, "PROC", tmp_path)
    if not collected:
        (tmp_path / "version 9\nmore").mkdir()  # what the stand-in for the shell says
    assert [check.name for check in diagnosis.check_init(clock)] == ["init"] * warned
    assert sum(clock.slept) == pytest.approx(diagnosis.INIT_LIMIT_S * warned)
