"""The role Lease: what a cloud keeps of the end of a VM, and that the VM ends then where time can be pretended."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from cloud_subjects import Bench, ghost, needs

from cloudms.clock import ManualClock
from cloudms.clouds.base import Lease, Power
from cloudms.errors import NotFound, NotReady
from cloudms.model import Vm, VmState

ENDED = (VmState.STOPPED, VmState.TERMINATED)


def renewed(bench: Bench, cloud: Any, vm: Vm) -> float | None:
    """Renew a VM and return the end that another connection sees; a guest that starts may not be there to be told."""
    with suppress(NotReady):
        cloud.renew_vm(vm)
    return bench.open().get_vm(vm).expires


@needs(Lease)
def test_the_end_is_kept_moved_and_taken_away(bench: Bench, cloud: Any) -> None:
    begin = bench.clock.now()
    vm = bench.wait(bench.create(expires=begin + 7200), VmState.RUNNING)
    assert bench.open().get_vm(vm).expires == pytest.approx(begin + 7200, abs=2)
    later = vm.with_(expires=begin + 90_000)
    assert renewed(bench, cloud, later) == pytest.approx(begin + 90_000, abs=2)
    assert renewed(bench, cloud, later) == pytest.approx(begin + 90_000, abs=2)
    assert renewed(bench, cloud, vm.with_(expires=None)) is None
    assert renewed(bench, cloud, later) == pytest.approx(begin + 90_000, abs=2)
    bench.delete(vm)


@needs(Lease, Power)
def test_a_vm_that_is_off_is_renewed(bench: Bench, cloud: Any) -> None:
    begin = bench.clock.now()
    vm = bench.wait(bench.create(expires=begin + 7200), VmState.RUNNING)
    bench.wait(cloud.stop_vm(vm, force=True), VmState.STOPPED)
    assert cloud.renew_vm(vm.with_(expires=begin + 90_000)).expires == pytest.approx(begin + 90_000, abs=2)
    bench.delete(vm)


@needs(Lease)
def test_renewing_a_vm_that_is_not_there(cloud: Any) -> None:
    with pytest.raises(NotFound):
        cloud.renew_vm(ghost())


@needs(Lease)
def test_it_ends_by_itself_then_and_not_before(bench: Bench, cloud: Any) -> None:
    if not isinstance(bench.clock, ManualClock):
        pytest.skip("an hour of real time; tests/live/test_lease.py has short leases")
    vms = [bench.wait(bench.create(expires=bench.clock.now() + 3600), VmState.RUNNING) for _ in range(3)]
    bench.clock.sleep(3500)
    assert {cloud.get_vm(vm).state for vm in vms} == {VmState.RUNNING}
    cloud.renew_vm(vms[0].with_(expires=bench.clock.now() + 3600))
    cloud.renew_vm(vms[1].with_(expires=None))
    bench.clock.sleep(200)
    assert [cloud.get_vm(vm).state for vm in vms[:2]] == [VmState.RUNNING] * 2
    ended = cloud.get_vm(vms[2])
    assert ended.state in ENDED
    assert "lease" in ended.reason
    bench.clock.sleep(7200)
    assert [cloud.get_vm(vm).state in ENDED for vm in vms[:2]] == [True, False]
    for vm in vms:
        bench.delete(vm)
