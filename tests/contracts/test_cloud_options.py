"""The roles that are options of a boot: spot, open ports, a private network."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_subjects import Bench, needs

from cloudms.clouds.base import OpenPorts, PrivateNetwork, SecGroups, Spot
from cloudms.errors import Invalid
from cloudms.model import Vm, VmState

RUNNING = VmState.RUNNING


def lead_in(cloud: Any, vm: Vm) -> set[int]:
    """Return the ports that lead to a VM, as its cloud shows them: forwards, rules, what a pretended one has noted."""
    found = {guest for row in cloud.list_addresses() if row.vm == vm.name for guest in row.ports.values()}
    if isinstance(cloud, SecGroups):
        rules = [rule for group in cloud.list_secgroups() if vm.name in group.vms for rule in group.rules]
        found |= {rule.first for rule in rules if rule.direction == "ingress" and rule.first == rule.last}
    if cloud.simulated:
        found |= set(vm.raw["options"].get("open", ()))
    return found


@needs(OpenPorts)
def test_ports_are_opened_for_one_vm_and_closed_with_it(bench: Bench, cloud: Any) -> None:
    spec = bench.spec(options={"open": [8091, 8092]})
    vm = bench.wait(bench.keep(cloud.create_vm(spec)), RUNNING)
    assert bench.open().create_vm(spec).id == vm.id
    assert {8091, 8092} <= lead_in(bench.open(), vm)
    assert not {8091, 8092} & lead_in(cloud, bench.running())
    bench.delete(vm)
    assert not {8091, 8092} & lead_in(cloud, vm.with_(raw={"options": {}}))
    assert not [left for left in cloud.leftovers(frozenset()) if left.token == vm.token]


@needs(OpenPorts)
@pytest.mark.parametrize("wrong", ["nonsense", 0, 70_000, "90-80"])
def test_what_is_no_port_is_invalid_and_nothing_is_made(bench: Bench, cloud: Any, wrong: object) -> None:
    spec = bench.spec(options={"open": [8091, wrong]})
    with pytest.raises(Invalid):
        cloud.create_vm(spec)
    assert spec.token not in {vm.token for vm in cloud.list_vms()}
    assert not [left for left in cloud.leftovers(frozenset()) if left.token == spec.token]


@needs(Spot)
def test_a_spot_vm_is_made_once_and_is_known_as_one(bench: Bench, cloud: Any) -> None:
    spec = bench.spec(options={"spot": True})
    vm = bench.wait(bench.keep(cloud.create_vm(spec)), RUNNING)
    assert bench.open().create_vm(spec).id == vm.id
    assert "spot" in str(vm.raw)
    assert (vm.token, vm.flavor) == (spec.token, spec.flavor)
    bench.delete(vm)


@needs(PrivateNetwork)
def test_vms_of_one_person_have_addresses_of_their_own_in_the_private_network(bench: Bench, cloud: Any) -> None:
    made = [bench.create(network="private") for _ in range(2)]
    addresses = [bench.wait(vm, RUNNING).private_ips for vm in made]
    assert all(addresses)
    assert not set(addresses[0]) & set(addresses[1])
    assert [row.private_ips for vm in made for row in bench.open().list_vms() if row.token == vm.token] == addresses
    for vm in made:
        bench.delete(vm)
