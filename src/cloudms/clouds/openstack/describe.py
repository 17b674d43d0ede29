"""A server as the noun Vm: state, reason, addresses, metadata. Nothing here raises for a server that is odd.

States: https://docs.openstack.org/api-guide/compute/server_concepts.html; what a server is on the way to stands in its
task, and counts first: one that is ACTIVE with the task powering-off is stopping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.openstack import tags as tagging
from cloudms.clouds.openstack.times import seconds
from cloudms.clouds.view import View, odd, origin_of
from cloudms.model import Vm, VmState

_S = VmState
STATES: Mapping[str, VmState] = {
    "ACTIVE": _S.RUNNING, "BUILD": _S.PENDING, "DELETED": _S.TERMINATED, "ERROR": _S.ERROR,
    "HARD_REBOOT": _S.REBOOTING, "MIGRATING": _S.RUNNING, "PASSWORD": _S.RUNNING, "PAUSED": _S.SUSPENDED,
    "REBOOT": _S.REBOOTING, "REBUILD": _S.REBUILDING, "RESCUE": _S.RUNNING, "RESIZE": _S.RESIZING,
    "REVERT_RESIZE": _S.RESIZING, "SHELVED": _S.STOPPED, "SHELVED_OFFLOADED": _S.DEALLOCATED, "SHUTOFF": _S.STOPPED,
    "SOFT_DELETED": _S.TERMINATED, "SUSPENDED": _S.SAVED, "VERIFY_RESIZE": _S.AWAITING_CONFIRM,
}  # fmt: skip
"""Nova keeps the memory of a suspended server on disk, and that of a paused one in place."""
TASKS: tuple[tuple[str, VmState], ...] = (
    ("deleting", _S.TERMINATING), ("soft-deleting", _S.TERMINATING), ("powering-off", _S.STOPPING),
    ("powering-on", _S.PENDING), ("suspending", _S.SUSPENDING), ("pausing", _S.SUSPENDING), ("resuming", _S.PENDING),
    ("unpausing", _S.PENDING), ("unshelving", _S.PENDING), ("shelving", _S.STOPPING), ("reboot", _S.REBOOTING),
    ("resize", _S.RESIZING), ("rebuild", _S.REBUILDING), ("restoring", _S.PENDING), ("spawning", _S.PENDING),
    ("rescuing", _S.REBOOTING), ("unrescuing", _S.REBOOTING), ("scheduling", _S.PENDING), ("networking", _S.PENDING),
    ("block_device_mapping", _S.PENDING),
)  # fmt: skip
"""How a task begins → the state that the server is in while it lasts; other tasks (image_snapshot …) change none."""
_SAID = {
    "MIGRATING": "it moves to another host", "RESCUE": "in rescue mode: openstack server unrescue",
    "PASSWORD": "it gets another password", "SOFT_DELETED": "deleted, and kept for a while: openstack server restore",
    "SHELVED": "shelved, and its place is not given back yet",
}  # fmt: skip
_SECRET = ("adminPass", "OS-EXT-SRV-ATTR:user_data")
GUESS = "cloud-user"
"""The login of a VM that nobody made any statement about: that of most images made for OpenStack."""


def vm(row: Mapping[str, Any], region: str, view: View) -> Vm:
    """Return the noun of a server."""
    try:
        return _vm(row, region, view)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return odd(str(row.get("id") or "?"), region, view, error, raw(row))


def _vm(row: Mapping[str, Any], region: str, view: View) -> Vm:
    tags, ident = tagging.of(row), str(row.get("id") or "")
    state, reason = state_of(row)
    public, private = addresses(row)
    return Vm(
        name=tags.name or ident, cloud=view.cloud, id=ident, region=region, labels=dict(tags.labels),
        fetched=view.now, raw=raw(row), state=state, reason=reason, image=tags.image or image_of(row),
        flavor=flavor_of(row), public_ips=public, private_ips=private, group=tags.group, owner=tags.owner,
        created=seconds(row.get("created")), expires=tags.expires, origin=origin_of(tags, view.owner),
        protected=tags.protected, keep_stopped=tags.keep_stopped, token=tags.token,
        login=tags.login or view.login or str(row.get("cms:login") or "") or GUESS,
        ssh_host=(*public, *private, "")[0],
        resized_from=tags.resized_from if state is VmState.AWAITING_CONFIRM else "",
    )  # fmt: skip


def is_gone(row: Mapping[str, Any]) -> bool:
    """Whether a server is deleted or on the way to it."""
    return state_of(row)[0] in (VmState.TERMINATED, VmState.TERMINATING)


def state_of(row: Mapping[str, Any]) -> tuple[VmState, str]:
    """Return the state of a server and why it is in it."""
    word, task = str(row.get("status") or "").upper(), str(row.get("OS-EXT-STS:task_state") or "")
    state = STATES.get(word)
    if state is None:
        told = "its part of the cloud does not answer" if word == "UNKNOWN" else f"nova says status {word!r}"
        return VmState.UNKNOWN, told
    going = next((state for begin, state in TASKS if task.startswith(begin)), None)
    if state is VmState.ERROR:
        return (going, "") if going is VmState.TERMINATING else (state, fault_of(row))
    if going is not None and state is not VmState.TERMINATED:
        return going, task.replace("_", " ")
    if word == "BUILD":
        return state, task.replace("_", " ")
    return state, _SAID.get(word, "")


def fault_of(row: Mapping[str, Any]) -> str:
    """Return why a server is in error, as far as nova tells."""
    fault = row.get("fault")
    message = str(fault.get("message") or "") if isinstance(fault, Mapping) else ""
    return " ".join(message.split())[:300] or "nova does not say why"


def addresses(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the public and the private addresses of a server, those of IPv4 first.

    Public are floating ones, and fixed ones that everybody can reach; where a cloud gives such alone, there are no
    private ones.
    """
    public: list[str] = []
    private: list[str] = []
    listed = row.get("addresses") or {}
    each = [one for group in listed.values() for one in group or ()]
    for one in sorted(each, key=lambda one: (one.get("version") != 4, one.get("OS-EXT-IPS:type") != "floating")):
        address = str(one.get("addr") or "")
        floating = one.get("OS-EXT-IPS:type") == "floating"
        (public if floating or is_public(address) else private).append(address)
    return _distinct(public), _distinct(private)


def is_public(address: str) -> bool:
    """Whether an address can be reached from everywhere."""
    import ipaddress

    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def image_of(row: Mapping[str, Any]) -> str:
    """Return what a server was made from: a name that was looked up (`cms:image`), else the id, else nothing."""
    image = row.get("image")
    known = str(row.get("cms:image") or "")
    return known or (str(image.get("id") or "") if isinstance(image, Mapping) else "")


def flavor_of(row: Mapping[str, Any]) -> str:
    """Return the name of a server's flavor; older clouds tell only its id, and the name is looked up (`cms:flavor`)."""
    flavor = row.get("flavor")
    told = flavor if isinstance(flavor, Mapping) else {}
    return str(told.get("original_name") or row.get("cms:flavor") or told.get("id") or "")


def raw(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return nova's description as it came, without what is secret and what was added here."""
    return {key: value for key, value in row.items() if key not in _SECRET and not key.startswith(notes.PREFIX)}


def _distinct(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
