"""This machine's own hypervisor: the accelerator probe, the daemons, and a machine started in the default mode."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import SystemClock
from cloudms.clouds.libvirt import accel, diagnosis, host

libvirt: Any = pytest.importorskip("libvirt")
libvirt_qemu: Any = pytest.importorskip("libvirt_qemu")

pytestmark = pytest.mark.live

START_LIMIT_S = 30.0  # a start under the /dev/kvm trap takes more than 70

EMPTY_MACHINE = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><controller type='usb' model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<serial type='pty'><log file='{log}' append='off'/></serial></devices></domain>
"""


@pytest.fixture
def connection() -> Iterator[Any]:
    """Return a connection to the libvirt that cloudms would use for this user."""
    uri = host.default_uri()
    host.ensure_daemon(uri, clock=SystemClock())
    libvirt.registerErrorHandler(lambda *_: None, None)
    link = libvirt.open(uri)
    yield link
    link.close()


@pytest.fixture
def machine(connection: Any) -> Iterator[Any]:
    """Start a machine with an empty disk from the pool's folder."""
    name = f"host-test-{uuid.uuid4().hex[:8]}"
    folder = host.prepare_pool(host.default_uri())
    disk, log = folder / f"{name}.raw", folder / f"{name}.console"
    disk.write_bytes(bytes(1 << 20))
    clock = SystemClock()
    begin = clock.monotonic()
    domain = connection.createXML(EMPTY_MACHINE.format(name=name, disk=disk, log=log), 0)
    took = clock.monotonic() - begin
    yield domain
    domain.destroy()
    disk.unlink()
    log.unlink(missing_ok=True)
    assert took < START_LIMIT_S, f"the start took {took:.1f} s"


def test_software_emulation_comes_through_every_stage() -> None:
    result = accel.probe("tcg", limit=20.0)
    assert result.works, result.reason
    assert result.stages == "rlipus"


def test_the_choice_is_what_the_probe_of_kvm_says() -> None:
    openable = os.access(accel.KVM_NODE, os.R_OK | os.W_OK)
    choice = accel.choose(fresh=True)
    assert choice.accel == ("kvm" if openable and accel.probe("kvm").works else "tcg"), choice.reason
    if openable:
        assert accel.choose() == accel.Choice(choice.accel, choice.reason, remembered=True)


def test_a_machine_starts_and_can_be_spoken_to(machine: Any) -> None:
    said = libvirt_qemu.qemuMonitorCommand(machine, "info status", libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    machine.suspend()
    machine.resume()
    assert said.startswith("VM status: running")
    assert machine.state()[0] == libvirt.VIR_DOMAIN_RUNNING


def test_the_second_start_of_the_daemons_is_none(connection: Any) -> None:
    said: list[str] = []
    host.ensure_daemon(host.default_uri(), clock=SystemClock(), say=said.append)
    assert said == []


def test_qemu_runs_as_the_account_that_is_told(machine: Any) -> None:
    account = host.qemu_user(host.default_uri())
    mine = [
        process.stat().st_uid
        for process in Path("/proc").glob("[0-9]*")
        if machine.name().encode() in _command_line(process)
    ]
    assert mine == [account.pw_uid]


def _command_line(process: Path) -> bytes:
    try:
        line = (process / "cmdline").read_bytes()
    except OSError:
        return b""
    return line if b"qemu-system" in line.split(b"\0")[0] else b""


def test_the_diagnosis_of_a_machine_that_runs_machines_has_no_failure(connection: Any) -> None:
    checks = {check.name: check for check in diagnosis.diagnose(host.default_uri())}
    for name in ("qemu", "qemu-img", "binding", "libvirt", "kvm-device", "acceleration"):
        assert checks[name].state != "fail", checks[name]
    assert "answers at" in checks["libvirt"].message
