"""The roles that change whether a VM runs: each action works, and succeeds again when it has nothing to do."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_subjects import Bench, needs

from cloudms.clouds.base import Deallocate, Power, Reboot, Save, Suspend
from cloudms.errors import CloudmsError, NotReady
from cloudms.model import VmState

RUNNING, STOPPED = VmState.RUNNING, VmState.STOPPED
FROZEN = (VmState.SUSPENDED, VmState.SAVED)


def agrees(bench: Bench, state: VmState) -> None:
    """Check that another connection, and the list, see the shared VM in `state`."""
    vm, other = bench.vm(), bench.open()
    assert other.get_vm(vm).state is state
    assert [row.state for row in other.list_vms() if row.token == vm.token] == [state]


@needs(Power)
def test_forced_off_and_on_again(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    off = cloud.stop_vm(vm, force=True)
    assert off.id == vm.id
    assert off.state in (STOPPED, VmState.STOPPING)
    assert bench.wait(vm, STOPPED).id == vm.id
    agrees(bench, STOPPED)
    assert cloud.start_vm(vm).state in (VmState.PENDING, RUNNING)
    assert bench.wait(vm, RUNNING).name == vm.name
    agrees(bench, RUNNING)


@needs(Power)
def test_stop_and_start_succeed_when_there_is_nothing_to_do(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    assert cloud.start_vm(vm).state is RUNNING
    vm = bench.stopped()
    assert cloud.stop_vm(vm).state is STOPPED
    assert cloud.stop_vm(vm, force=True).state is STOPPED
    cloud.start_vm(vm)
    assert cloud.start_vm(vm).state in (VmState.PENDING, RUNNING)
    bench.wait(vm, RUNNING)


@needs(Power)
def test_a_graceful_stop_returns_at_once_and_ends(bench: Bench, cloud: Any) -> None:
    vm = bench.booted()
    asked = cloud.stop_vm(vm)
    assert asked.state in (VmState.STOPPING, STOPPED)
    assert cloud.stop_vm(vm).state in (VmState.STOPPING, STOPPED)
    bench.wait(vm, STOPPED)


@needs(Power)
def test_force_ends_a_stop_that_takes_too_long(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    cloud.stop_vm(vm)
    cloud.stop_vm(vm, force=True)
    bench.wait(vm, STOPPED, patience=30)


@needs(Power)
def test_a_stopped_vm_keeps_what_it_is(bench: Bench, cloud: Any) -> None:
    on, off = bench.running(), bench.stopped()
    for name in ("id", "name", "token", "owner", "image", "flavor", "labels", "created", "origin"):
        assert getattr(off, name) == getattr(on, name), name


@needs(Reboot)
@pytest.mark.parametrize("force", [False, True])
def test_reboot_brings_it_back(bench: Bench, cloud: Any, force: bool) -> None:
    vm = bench.running()
    assert cloud.reboot_vm(vm, force=force).state in (VmState.REBOOTING, RUNNING)
    assert bench.wait(vm, RUNNING).id == vm.id


@needs(Suspend)
def test_suspend_and_resume_each_twice(bench: Bench, cloud: Any) -> None:
    """A cloud that keeps memory on disk only says `saved` for it."""
    vm = bench.running()
    assert cloud.suspend_vm(vm).state in (*FROZEN, VmState.SUSPENDING)
    frozen = bench.wait(vm, *FROZEN).state
    assert cloud.suspend_vm(vm).state is frozen
    agrees(bench, frozen)
    assert cloud.resume_vm(vm).state in (VmState.PENDING, RUNNING)
    bench.wait(vm, RUNNING)
    assert cloud.resume_vm(vm).state is RUNNING
    agrees(bench, RUNNING)


@needs(Suspend, Power)
def test_a_suspended_vm_can_be_switched_off(bench: Bench, cloud: Any) -> None:
    """Memory on disk stays where a cloud has no way to drop it."""
    vm = bench.running()
    cloud.suspend_vm(vm)
    frozen = bench.wait(vm, *FROZEN).state
    cloud.stop_vm(vm, force=True)
    bench.wait(vm, STOPPED if frozen is VmState.SUSPENDED else VmState.SAVED)
    bench.running()


@needs(Save, Power)
@pytest.mark.parametrize("verb", ["start_vm", "resume_vm"])
def test_save_twice_and_go_on(bench: Bench, cloud: Any, verb: str) -> None:
    vm = bench.running()
    assert cloud.save_vm(vm).state in (VmState.SAVED, VmState.SUSPENDING)
    bench.wait(vm, VmState.SAVED)
    assert cloud.save_vm(vm).state is VmState.SAVED
    assert cloud.stop_vm(vm).state is VmState.SAVED
    agrees(bench, VmState.SAVED)
    getattr(cloud, verb if bench.has(Suspend) else "start_vm")(vm)
    bench.wait(vm, RUNNING)


@needs(Deallocate, Power)
def test_deallocate_twice_and_start(bench: Bench, cloud: Any) -> None:
    vm = bench.running()
    cloud.deallocate_vm(vm)
    bench.wait(vm, cloud.deallocated)
    assert cloud.deallocate_vm(vm).state is cloud.deallocated
    cloud.start_vm(vm)
    bench.wait(vm, RUNNING)
    cloud.stop_vm(vm, force=True)
    bench.wait(vm, STOPPED)
    cloud.deallocate_vm(vm)
    bench.wait(vm, cloud.deallocated)


@pytest.mark.calls(("reboot_vm", "suspend_vm", "save_vm", "resume_vm"))
def test_what_needs_a_running_vm_says_in_which_state_it_is(bench: Bench, cloud: Any, call: str) -> None:
    vm = bench.stopped()
    with pytest.raises(NotReady) as refused:
        getattr(cloud, call)(vm)
    assert refused.value.details["state"] == "stopped"
    assert cloud.get_vm(vm).state is STOPPED


@needs(Power)
def test_a_vm_can_be_deleted_in_any_state(bench: Bench, cloud: Any) -> None:
    vm = bench.create()
    cloud.stop_vm(bench.wait(vm, RUNNING), force=True)
    bench.wait(vm, STOPPED)
    bench.delete(vm)
    with pytest.raises(CloudmsError):
        cloud.start_vm(vm)
    assert bench.gone(vm)
