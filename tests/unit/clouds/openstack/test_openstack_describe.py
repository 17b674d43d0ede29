"""A server as a noun: every state and task of nova, addresses, names, and servers that are odd."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, server

from cloudms.clouds.openstack import describe
from cloudms.clouds.view import View
from cloudms.model import Origin, Vm, VmState

VIEW = View(cloud="os", owner=OWNER, now=1_800_000_000.0)
S = VmState


def vm(**more: Any) -> Vm:
    """Return the noun of a server."""
    return describe.vm(server(**more), "R1", VIEW)


@pytest.mark.parametrize(
    ("status", "task", "state"),
    [
        ("ACTIVE", None, S.RUNNING), ("ACTIVE", "powering-off", S.STOPPING), ("ACTIVE", "deleting", S.TERMINATING),
        ("ACTIVE", "image_snapshot", S.RUNNING), ("ACTIVE", "shelving_image_uploading", S.STOPPING),
        ("ACTIVE", "resize_prep", S.RESIZING), ("ACTIVE", "suspending", S.SUSPENDING),
        ("ACTIVE", "pausing", S.SUSPENDING),
        ("BUILD", "scheduling", S.PENDING), ("BUILD", None, S.PENDING), ("BUILD", "deleting", S.TERMINATING),
        ("DELETED", None, S.TERMINATED), ("ERROR", None, S.ERROR), ("ERROR", "deleting", S.TERMINATING),
        ("ERROR", "spawning", S.ERROR), ("HARD_REBOOT", "rebooting_hard", S.REBOOTING),
        ("REBOOT", "reboot_started", S.REBOOTING), ("MIGRATING", "migrating", S.RUNNING), ("PASSWORD", None, S.RUNNING),
        ("PAUSED", None, S.SUSPENDED), ("PAUSED", "unpausing", S.PENDING),
        ("REBUILD", "rebuild_spawning", S.REBUILDING),
        ("RESCUE", None, S.RUNNING), ("RESIZE", "resize_finish", S.RESIZING), ("REVERT_RESIZE", None, S.RESIZING),
        ("SHELVED", None, S.STOPPED), ("SHELVED", "shelving_offloading", S.STOPPING),
        ("SHELVED_OFFLOADED", None, S.DEALLOCATED), ("SHELVED_OFFLOADED", "unshelving", S.PENDING),
        ("SHELVED_OFFLOADED", "spawning", S.PENDING), ("SHUTOFF", None, S.STOPPED),
        ("SHUTOFF", "powering-on", S.PENDING), ("SOFT_DELETED", None, S.TERMINATED), ("SUSPENDED", None, S.SAVED),
        ("SUSPENDED", "resuming", S.PENDING), ("VERIFY_RESIZE", None, S.AWAITING_CONFIRM), ("UNKNOWN", None, S.UNKNOWN),
        ("SINGING", None, S.UNKNOWN), ("", None, S.UNKNOWN),
    ],
)  # fmt: skip
def test_every_status_and_task_is_told(status: str, task: str | None, state: VmState) -> None:
    found = vm(status=status, **{"OS-EXT-STS:task_state": task})
    assert found.state is state
    assert found.state is not S.UNKNOWN or found.reason


def test_every_status_that_nova_documents_is_known() -> None:
    """https://docs.openstack.org/api-guide/compute/server_concepts.html"""
    documented = {
        "ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT", "REBUILD",
        "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED", "SUSPENDED",
        "VERIFY_RESIZE",
    }  # fmt: skip
    assert set(describe.STATES) == documented


def test_an_error_is_told_with_its_reason() -> None:
    fault = {"code": 500, "message": "No valid host was found.\nThere are not enough hosts.", "created": "now"}
    assert vm(status="ERROR", fault=fault).reason == "No valid host was found. There are not enough hosts."
    assert vm(status="ERROR").reason == "nova does not say why"


def test_floating_addresses_are_public_and_come_first() -> None:
    addresses = {
        "private": [
            {"addr": "fd00::5", "version": 6, "OS-EXT-IPS:type": "fixed"},
            {"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed"},
            {"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating"},
        ],
        "wide": [{"addr": "8.8.4.4", "version": 4, "OS-EXT-IPS:type": "fixed"}],
    }
    found = vm(addresses=addresses)
    assert found.public_ips == ("203.0.113.9", "8.8.4.4")
    assert found.private_ips == ("10.0.0.5", "fd00::5")
    assert found.ssh_host == "203.0.113.9"
    assert vm(addresses={}).ssh_host == ""


def test_flavor_and_image_by_name_where_that_is_known() -> None:
    assert vm().flavor == "m1.tiny"
    assert vm(flavor={"id": "42"}).flavor == "42"
    assert vm(flavor={"id": "42"}, **{"cms:flavor": "m1.old"}).flavor == "m1.old"
    assert vm(image={"id": "i1"}).image == "i1"
    assert vm(image="").image == ""
    assert vm(image="", **{"cms:image": "debian-12", "cms:login": "debian"}).image == "debian-12"


def test_whose_it_is() -> None:
    assert vm().origin is Origin.OWN
    assert vm(metadata={}).origin is Origin.FOREIGN
    assert vm(metadata={"cms:token": "t", "cms:owner": "grace"}).origin is Origin.FOREIGN
    assert vm(metadata={"cms:token": "t", "cms:owner": OWNER, "cms:adopted": "yes"}).origin is Origin.ADOPTED


def test_the_old_flavor_is_told_only_while_it_can_be_brought_back() -> None:
    metadata = {"cms:token": "t", "cms:owner": OWNER, "cms:resized-from": "m1.small"}
    assert vm(status="VERIFY_RESIZE", metadata=metadata).resized_from == "m1.small"
    assert vm(metadata=metadata).resized_from == ""


def test_raw_is_what_nova_said_without_secrets() -> None:
    row = server(adminPass="hush", **{"OS-EXT-SRV-ATTR:user_data": "aHVzaA==", "cms:image": "x"})
    found = describe.vm(row, "R1", VIEW)
    assert "hush" not in json.dumps(found.to_document())
    assert "cms:image" not in found.raw
    assert found.raw["metadata"] == row["metadata"]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"id": "a"},
        {"id": "a", "status": "UNKNOWN", "tenant_id": "p", "created": "2026-11-30T12:00:00Z", "links": []},
        {"id": "a", "status": "ACTIVE", "addresses": {"n": None}},
        {"id": "a", "status": "ACTIVE", "addresses": {"n": [None]}},
        {"id": "a", "status": "ACTIVE", "metadata": None, "created": "yesterday", "image": None, "flavor": None},
    ],
)
def test_nothing_odd_is_dropped(row: dict[str, Any]) -> None:
    found = describe.vm(row, "R1", VIEW)
    assert found.id == row.get("id", "") or found.name == "?"
    assert isinstance(found.state, VmState)
