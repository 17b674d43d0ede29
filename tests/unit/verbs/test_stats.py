"""What VMs use: computed from two looks where a cloud counts, taken as told where it measures, never invented."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import Invalid, NotFound, Unsupported
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import fake


def boot(ctx: Context, call: Call, name: str, cloud: str, load: float) -> None:
    call("vm boot", "micro", name=name, cloud=cloud, flavor="medium", wait="running")
    (vm,) = [vm for vm in call("vm list", cloud=cloud).items if vm.name == name]
    fake(ctx, cloud).set_load(vm, load)


def test_counted_processor_time_becomes_a_percentage_of_all_processors(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    boot(ctx, call, "busy", "one", 0.75)
    boot(ctx, call, "idle", "two", 0.0)
    begun = clock.now()
    rows = {row.name: row for row in call("vm stats", interval=2.0).items}
    assert clock.now() == begun + 2
    assert (rows["busy"].cpu_percent, rows["idle"].cpu_percent) == (75.0, 0.0)
    assert (rows["busy"].memory_mib, rows["busy"].cloud, rows["busy"].at) == (4096, "one", clock.now())
    assert 0 < rows["busy"].memory_used_mib < 4096
    assert [row.name for row in call("vm stats", ["idle"]).items] == ["idle"]
    assert [row.name for row in call("vm stats", cloud="one").items] == ["busy"]


def test_what_a_cloud_measures_by_itself_is_told_with_its_time(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    boot(ctx, call, "busy", "one", 1.0)
    boot(ctx, call, "new", "one", 1.0)
    begun, told = clock.now(), clock.now() - 240

    def metrics(_cloud: FakeCloud, vms: Any) -> Any:
        return {vm.key: {"cpu_percent": 12.34, "at": told} for vm in vms if vm.name == "busy"}

    monkeypatch.setattr(FakeCloud, "metrics", metrics)
    (row,) = call("vm stats").items
    assert (row.name, row.cpu_percent, row.at, row.memory_mib) == ("busy", 12.3, told, None)
    assert clock.now() == begun


def test_a_cloud_that_does_not_answer_is_told_of_beside_the_others(ctx: Context, call: Call) -> None:
    boot(ctx, call, "busy", "one", 0.5)
    boot(ctx, call, "other", "two", 0.5)
    fake(ctx, "two").add_fault("denied", call="metrics", times=0)
    listing = call("vm stats")
    assert [row.name for row in listing.items] == ["busy"]
    assert listing.failed["two"]["code"] == "denied"


def test_a_vm_that_is_off_is_shown_when_named_only(ctx: Context, call: Call) -> None:
    boot(ctx, call, "off", "one", 0.5)
    call("vm stop", ["off"])
    assert call("vm stats").items == ()
    (row,) = call("vm stats", ["off"]).items
    assert (row.state, row.cpu_percent) == ("stopped", 0.0)


def test_what_cannot_be_measured_is_refused(ctx: Context, call: Call) -> None:
    boot(ctx, call, "web1", "one", 0.5)
    with pytest.raises(Invalid, match="interval"):
        call("vm stats", interval=0.0)
    with pytest.raises(NotFound):
        call("vm stats", ["nobody"])
    fake(ctx, "one").options.__dict__["refuse"] = {"metrics": "it has no eyes"}
    with pytest.raises(Unsupported, match="no eyes"):
        call("vm stats", ["web1"])
