"""libvirt's errors as ours."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest

from cloudms import errors
from cloudms.clouds.libvirt.errors import CODES, plain, translate
from cloudms.clouds.libvirt.link import Link, no_questions, talks
from cloudms.errors import CloudmsError


class Failure:
    """What `translate` asks of a libvirtError."""

    def __init__(self, name: str, text: str) -> None:
        self.code, self.text = getattr(libvirt, f"VIR_ERR_{name}"), text

    def get_error_code(self) -> int:
        return int(self.code)

    def get_error_domain(self) -> int:
        return 10

    def get_error_message(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("NO_DOMAIN", "Domain not found: no domain with matching name 'x'", errors.NotFound),
        ("NO_STORAGE_VOL", "Storage volume not found", errors.NotFound),
        ("OPERATION_FAILED", "operation failed: domain 'a' already exists with uuid 0", errors.Exists),
        ("STORAGE_VOL_EXIST", "storage volume 'a' exists already", errors.Exists),
        ("INTERNAL_ERROR", "internal error: cannot write: No space left on device", errors.NoCapacity),
        ("SYSTEM_ERROR", "cannot fork child process: Cannot allocate memory", errors.NoCapacity),
        ("INTERNAL_ERROR", "internal error: No more available PCI slots", errors.NoCapacity),
        ("AUTH_FAILED", "authentication failed: authentication unavailable", errors.Denied),
        ("SYSTEM_ERROR", "Failed to connect socket to '/x': Permission denied", errors.Denied),
        ("SYSTEM_ERROR", "Failed to connect socket to '/x': No such file or directory", errors.NotReady),
        ("NO_CONNECT", "no connection driver available for x", errors.NotReady),
        ("OPERATION_INVALID", "Requested operation is not valid: domain is not running", errors.Conflict),
        ("OPERATION_TIMEOUT", "Timed out during operation: cannot acquire state change lock", errors.Conflict),
        ("AGENT_UNRESPONSIVE", "Guest agent is not responding: QEMU guest agent is not connected", errors.NotReady),
        (
            "INTERNAL_ERROR",
            'internal error: qemu: Failed to get "write" lock\\nIs another process using',
            errors.Conflict,
        ),
        ("XML_ERROR", "XML error: unknown", errors.Invalid),
        ("CONFIG_UNSUPPORTED", "unsupported configuration: no", errors.Unsupported),
        ("INTERNAL_ERROR", "internal error: something new", errors.NotReady),
        ("CPU_INCOMPATIBLE", "the CPU is incompatible with host CPU", errors.NotReady),
    ],
)
def test_translate(name: str, text: str, expected: type[CloudmsError]) -> None:
    found = translate(Failure(name, text), "qemu:///session")
    assert type(found) is expected
    assert "\n" not in found.message and not found.message.endswith(".")
    assert found.details["libvirt_code"] == getattr(libvirt, f"VIR_ERR_{name}")


def test_a_name_that_is_taken_is_said_in_our_words() -> None:
    found = translate(
        Failure("OPERATION_FAILED", "operation failed: domain 'a' already exists with uuid 0-1"), "qemu:///x"
    )
    assert found.message == "there is a vm 'a' already"


def test_a_hypervisor_that_cannot_be_reached_is_named() -> None:
    failure = Failure("SYSTEM_ERROR", "Failed to connect socket to '/run/x': Connection refused")
    found = translate(failure, "qemu:///system")
    assert found.message.startswith("libvirt at qemu:///system is not reachable: Failed to connect")
    assert found.hint == "cms doctor --fix"


def test_a_kvm_that_cannot_run_guests_is_explained() -> None:
    text = (
        "internal error: process exited while connecting to monitor: 2026-01-02T03:04:05.989930Z qemu-system-x86_64: "
        "error: failed to set MSR 0x10a to 0x69\nqemu-system-x86_64: ../kvm.c:3183: Assertion failed."
    )
    found = translate(Failure("INTERNAL_ERROR", text), "qemu:///system")
    assert found.message == "failed to set MSR 0x10a to 0x69"
    assert "accel to tcg" in found.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "libvirt gave no reason"), ("internal error: \n", "libvirt gave no reason"), ("plain.", "plain"),
        ("internal error: unable to execute QEMU command 'device_add': Bus 'x' not found", "Bus 'x' not found"),
        ("first\nsecond", "first"),
    ],
)  # fmt: skip
def test_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_every_code_is_one_of_libvirts() -> None:
    assert all(hasattr(libvirt, f"VIR_ERR_{name}") for name in CODES)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("qemu:///session", "qemu:///session"), ("qemu+ssh://h/system", "qemu+ssh://h/system?no_tty=1"),
        ("qemu+ssh://h/system?keyfile=/k", "qemu+ssh://h/system?keyfile=/k&no_tty=1"),
        ("qemu+libssh2://h/system?no_tty=0", "qemu+libssh2://h/system?no_tty=0"),
    ],
)  # fmt: skip
def test_no_terminal_is_asked(uri: str, expected: str) -> None:
    assert no_questions(uri) == expected


class Caller:
    """A cloud whose connection was lost, once or for good."""

    def __init__(self, failures: int, *, lost: bool) -> None:
        self.failures, self.calls = failures, 0
        self.link: Link = type("Broken", (), {"uri": "qemu:///x", "lost": lambda _self: lost})()

    @talks
    def call(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise libvirt.libvirtError("gone")
        return "done"


@pytest.mark.parametrize(("failures", "lost", "calls"), [(0, True, 1), (1, True, 2), (2, True, 2), (1, False, 1)])
def test_a_lost_connection_is_tried_once_more(failures: int, lost: bool, calls: int) -> None:
    caller: Any = Caller(failures, lost=lost)
    if failures < calls:
        assert caller.call() == "done"
    else:
        with pytest.raises(CloudmsError):
            caller.call()
    assert caller.calls == calls
