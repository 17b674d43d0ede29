"""libvirt's errors as the house's: by text where libvirt and QEMU say it only there, else by code.

Codes: https://libvirt.org/html/libvirt-virterror.html. Texts: libvirt 9.0 and QEMU 7.2.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from cloudms.errors import (
    CloudmsError,
    Conflict,
    Denied,
    Exists,
    Invalid,
    NoCapacity,
    NotFound,
    NotReady,
    Timeout,
    Unsupported,
)

CODES: dict[str, type[CloudmsError]] = {
    "NO_MEMORY": NoCapacity,
    "NO_SUPPORT": Unsupported,
    "INVALID_ARG": Invalid,
    "XML_ERROR": Invalid,
    "XML_DETAIL": Invalid,
    "XML_INVALID_SCHEMA": Invalid,
    "OPERATION_DENIED": Denied,
    "AUTH_FAILED": Denied,
    "AUTH_CANCELLED": Denied,
    "AUTH_UNAVAILABLE": Denied,
    "ACCESS_DENIED": Denied,
    "DOM_EXIST": Exists,
    "NETWORK_EXIST": Exists,
    "STORAGE_VOL_EXIST": Exists,
    "NO_DOMAIN": NotFound,
    "NO_NETWORK": NotFound,
    "NO_STORAGE_POOL": NotFound,
    "NO_STORAGE_VOL": NotFound,
    "NO_DOMAIN_SNAPSHOT": NotFound,
    "NO_DOMAIN_METADATA": NotFound,
    "DEVICE_MISSING": NotFound,
    "OPERATION_INVALID": Conflict,
    "OPERATION_ABORTED": Conflict,
    "RESOURCE_BUSY": Conflict,
    "CONFIG_UNSUPPORTED": Unsupported,
    "ARGUMENT_UNSUPPORTED": Unsupported,
    "OPERATION_UNSUPPORTED": Unsupported,
    "OPERATION_TIMEOUT": Timeout,
    "OVERFLOW": Invalid,
}
"""By the name of the code without `VIR_ERR_`; every other code is NotReady."""

TEXTS: tuple[tuple[str, type[CloudmsError], str], ...] = (
    ("no space left on device|disk quota exceeded", NoCapacity, "free some disk space, or delete VMs and images"),
    ("cannot allocate memory|cannot set up guest memory", NoCapacity, "stop a VM, or choose a smaller flavor"),
    ("no more available pci slots", NoCapacity, "stop and start the VM: its free slots are counted anew"),
    ("already exists|exists already|already defined with", Exists, "choose another name"),
    ("address already in use", Conflict, "choose another address or port"),
    ("failed to get .{0,20}lock|another process using", Conflict, "another machine or program uses this disk"),
    ("asynchronous jobs running|cannot acquire state change lock", Conflict, "another process works on it: try again"),
    ("authentication (failed|unavailable|cancelled)|permission denied", Denied, "cms doctor tells what is missing"),
    ("timed out|timeout", Timeout, "try again"),
    ("unable to find any firmware", Unsupported, "apt-get install ovmf on the hypervisor"),
    (r"\bkvm\b|failed to set msr", NotReady, "its KVM cannot run guests: set accel to tcg for this cloud"),
)
"""Patterns of the message in lower case, looked at from top to bottom before the code."""

_NOISE = re.compile(
    r"^(internal error|operation failed|unsupported configuration|invalid argument|Requested operation is not valid"
    r"|process exited while connecting to monitor|unable to execute QEMU command '[^']*')\s*:\s*"
    r"|^error:\s+|^\d{4}-\d\d-\d\dT[\d:.]+Z\s+|^qemu-system-\w+\s*:\s*"
)


def translate(error: Any, uri: str) -> CloudmsError:
    """Return the house's error for a `libvirtError` of the connection to `uri`."""
    text = plain(str(error.get_error_message() or error))
    code, domain = error.get_error_code(), error.get_error_domain()
    kind, hint = _kind(code, text)
    text = re.sub(r"^domain (.*) already exists with uuid .*", r"there is a vm \1 already", text)
    if kind is NotReady and _is_connection(code, text):
        text, hint = f"libvirt at {uri} is not reachable: {text}", "cms doctor --fix"
    return kind(text, hint=hint, details={"libvirt_code": code, "libvirt_domain": domain})


def plain(text: str) -> str:
    """Return the first line of a libvirt message that tells something, without prefixes, times and program names."""
    for line in text.splitlines():
        told = line.strip()
        while match := _NOISE.match(told):
            told = told[match.end() :]
        if told:
            return told.rstrip(". ")
    return "libvirt gave no reason"


def is_code(error: Any, *names: str) -> bool:
    """Whether a `libvirtError` has one of the codes, named without `VIR_ERR_`."""
    return names_by_code().get(error.get_error_code()) in names


@cache
def names_by_code() -> dict[int, str]:
    """Return the codes' names without `VIR_ERR_`."""
    import libvirt

    return {
        value: name.removeprefix("VIR_ERR_")
        for name, value in vars(libvirt).items()
        if name.startswith("VIR_ERR_") and name not in ("VIR_ERR_WARNING", "VIR_ERR_ERROR", "VIR_ERR_NONE")
    }


def _kind(code: int, text: str) -> tuple[type[CloudmsError], str]:
    name = names_by_code().get(code, "")
    low = text.lower()
    for pattern, kind, hint in TEXTS:
        if re.search(pattern, low):
            return (CODES.get(name, kind) if kind is Exists and name.startswith("NO_") else kind), hint
    return CODES.get(name, NotReady), "" if name in CODES else "cms doctor"


def _is_connection(code: int, text: str) -> bool:
    """Whether it is the connection that failed, not the request."""
    name = names_by_code().get(code, "")
    return name in ("NO_CONNECT", "RPC", "INVALID_CONN", "UNKNOWN_HOST", "SSH", "LIBSSH", "GNUTLS_ERROR") or bool(
        re.search("failed to connect|unable to connect|end of file while reading|broken pipe|client socket is closed"
                  "|cannot (recv|read|write) data", text.lower())
    )  # fmt: skip
