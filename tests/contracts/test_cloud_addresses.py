"""Addresses that outlive their VM, what the end of a VM takes along, and what it leaves."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from cloud_subjects import OWNER, Bench, needs

from cloudms.clouds.base import Addresses, AddressPool, Locations, Prices, Volumes
from cloudms.errors import Conflict, NotFound
from cloudms.model import Address, Vm, VmState

RUNNING = VmState.RUNNING


def listed(cloud: Any, name: str) -> Address | None:
    """Return an address as the cloud lists it, or None when the account does not have it."""
    found: list[Address] = [row for row in cloud.list_addresses() if row.name == name]
    return next((row for row in found if row.owner or row.token or row.vm), None)


@needs(AddressPool)
def test_an_address_is_taken_once_and_given_back(bench: Bench, cloud: Any) -> None:
    token = uuid.uuid4().hex
    address = cloud.create_address(token)
    assert (address.cloud, address.token, address.owner, address.vm) == ("bench", token, OWNER, "")
    assert bench.open().create_address(token).id == address.id  # type: ignore[attr-defined]
    seen = listed(bench.open(), address.name)
    assert seen
    assert (seen.id, seen.token, seen.key, seen.vm) == (address.id, token, token, "")
    cloud.delete_address(address)
    cloud.delete_address(address)
    assert listed(cloud, address.name) is None


@needs(AddressPool, Locations)
def test_an_address_is_not_taken_where_nothing_is(cloud: Any) -> None:
    with pytest.raises(NotFound):
        cloud.create_address(uuid.uuid4().hex, "no-such-place")


@needs(AddressPool, Addresses)
def test_an_address_that_was_taken_leads_to_a_vm_and_outlives_it(bench: Bench, cloud: Any) -> None:
    address, vm = cloud.create_address(uuid.uuid4().hex), bench.wait(bench.create(), RUNNING)
    assert address.name in cloud.set_address(vm, address.name).public_ips
    seen = listed(cloud, address.name)
    assert seen
    assert (seen.vm, seen.token) == (vm.name, address.token)
    with pytest.raises(Conflict):
        cloud.delete_address(seen)
    assert address.name not in cloud.remove_address(vm, address.name).public_ips
    assert listed(cloud, address.name)
    cloud.set_address(vm, address.name)
    bench.delete(vm)
    seen = listed(bench.open(), address.name)
    assert seen
    assert (seen.vm, seen.token) == ("", address.token)
    cloud.delete_address(seen)


@needs(AddressPool, Addresses)
def test_an_address_that_is_kept_outlives_the_vm_it_was_given_to(bench: Bench, cloud: Any) -> None:
    vm = bench.wait(bench.create(), RUNNING)
    before = set(vm.public_ips)
    name = next(iter(set(cloud.set_address(vm).public_ips) - before))
    given = listed(cloud, name)
    assert given
    assert given.token == ""
    for _ in range(2):
        assert name not in cloud.detach_address(vm, name).public_ips
    kept = listed(bench.open(), name)
    assert kept
    assert (kept.vm, kept.token[:8]) == ("", vm.token[:8])
    assert kept.token != vm.token
    assert [left for left in cloud.leftovers(frozenset((vm.token,))) if left.kind == "address"] == []
    bench.delete(vm)
    assert listed(cloud, name)
    cloud.delete_address(kept)
    assert listed(cloud, name) is None


@needs(AddressPool, Addresses)
def test_what_leads_elsewhere_is_not_taken(bench: Bench, cloud: Any) -> None:
    vm, address = bench.running(), cloud.create_address(uuid.uuid4().hex)
    assert cloud.detach_address(vm, address.name).id == vm.id
    assert listed(cloud, address.name)
    cloud.delete_address(address)


def left_of(cloud: Any, vm: Vm) -> list[str]:
    """Return what of a VM that is gone is still there."""
    return [left.kind for left in cloud.leftovers(frozenset()) if left.token == vm.token]


@needs(Addresses)
def test_the_end_of_a_vm_takes_its_addresses_along(bench: Bench, cloud: Any) -> None:
    vm = bench.wait(bench.create(), RUNNING)
    given = set(cloud.set_address(vm).public_ips)
    assert given
    assert vm.name in {row.vm for row in cloud.list_addresses()}
    bench.delete(vm)
    assert vm.name not in {row.vm for row in cloud.list_addresses()}
    assert left_of(cloud, vm) == []
    if bench.has(AddressPool):
        assert not any(listed(cloud, name) for name in given - set(vm.public_ips))


@needs(Volumes)
def test_the_end_of_a_vm_leaves_volumes_and_nothing_else(bench: Bench, cloud: Any) -> None:
    vm = bench.wait(bench.create(), RUNNING)
    token = uuid.uuid4().hex
    volume = cloud.create_volume(f"cms-contract-{token[:8]}", 1, token, {}, vm.region)
    assert cloud.attach_volume(volume, vm).vm == vm.name
    bench.delete(vm)
    bench.eventually(
        lambda: [row.vm for row in cloud.list_volumes() if row.id == volume.id] == [""], "the volume is free"
    )
    assert left_of(cloud, vm) == []
    cloud.delete_volume(cloud.detach_volume(volume))


@needs(Prices, AddressPool)
def test_the_price_of_an_address_is_told_with_its_age(bench: Bench, cloud: Any) -> None:
    price = cloud.thing_price("address")
    assert price.per_hour > 0
    assert price.currency
    assert price.fetched == pytest.approx(bench.clock.now(), abs=bench.subject.patience)
    with pytest.raises(NotFound):
        cloud.thing_price("no-such-thing")
