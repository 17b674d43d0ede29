"""`cms vm renew`, and what else has to do with leases: lists, protection, starts, sweeps."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms import ssh
from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.errors import Conflict, Invalid, NotReady, Unsupported
from cloudms.model import Vm, VmState
from tests.unit.verbs.conftest import Call, events
from tests.unit.verbs.test_lists import fake

HOUR = 3600.0


def vm(call: Call, name: str = "web") -> Vm:
    """Return a VM as its cloud and the catalog say."""
    found: Vm = call("vm info", name, refresh=True)
    return found


def test_a_vm_ends_itself_when_its_lease_does(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    clock.sleep(8 * HOUR - 60)
    assert vm(call).state is VmState.RUNNING
    clock.sleep(120)
    assert (vm(call).state, vm(call).reason) == (VmState.STOPPED, "its lease has ended")
    assert [finding.what for finding in call("sweep").items] == ["expired"]
    call("sweep", apply=True)
    assert call("vm list").items == ()
    assert not ctx.catalog.find("vm")


def test_a_renewal_counts_from_now_and_by_default_as_long_as_before(call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    clock.sleep(6 * HOUR)
    call("vm renew", ["web"])
    assert vm(call).expires == pytest.approx(clock.now() + 8 * HOUR, abs=2)
    call("vm renew", ["web"], ttl="2h")
    clock.sleep(HOUR)
    call("vm renew", ["web"])
    assert vm(call).expires == pytest.approx(clock.now() + 2 * HOUR, abs=2)
    clock.sleep(HOUR + 60)
    assert vm(call).state is VmState.RUNNING
    clock.sleep(HOUR)
    assert vm(call).state is VmState.STOPPED


def test_never_ends_nothing(call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    call("vm renew", ["web"], ttl="never")
    clock.sleep(1000 * HOUR)
    assert (vm(call).state, vm(call).expires) == (VmState.RUNNING, None)
    call("vm renew", ["web"])  # what a cloud that costs money gives by default
    assert vm(call).expires == pytest.approx(clock.now() + 24 * HOUR, abs=2)


def test_several_are_renewed_at_once_with_an_event_each_and_a_dry_run_changes_nothing(
    ctx: Context, call: Call, clock: ManualClock
) -> None:
    call("vm boot", name="web", count=2, ttl="8h")
    before = vm(call, "web-1").expires
    plan = call("vm renew", ["web-[1-2]"], ttl="1d", dry_run=True)
    assert plan.summary == "renew web-[1-2]: the lease ends at 2023-11-15T22:13:20Z"
    assert vm(call, "web-1").expires == before
    operation = call("vm renew", ["web-[1-2]"], ttl="1d")
    assert {step.target: step.state for step in operation.steps} == {"web-1": "done", "web-2": "done"}
    assert vm(call, "web-2").expires == pytest.approx(clock.now() + 24 * HOUR, abs=2)
    said = [text for text in events(ctx) if text.startswith("vm.renew")]
    assert sorted(said) == [f"vm.renew web-{number}: its lease ends at 2023-11-15T22:13:20Z" for number in (1, 2)]


def test_what_cannot_be_a_lease_is_refused(call: Call) -> None:
    call("vm boot", name="web", ttl="8h")
    with pytest.raises(Invalid, match="not a duration"):
        call("vm renew", ["web"], ttl="soon")
    with pytest.raises(Invalid, match="no VM was named"):
        call("vm renew")


def test_a_vm_of_others_is_not_renewed(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="8h")
    cloud = fake(ctx, "one")
    with cloud.store.change() as world:
        next(iter(world["vms"].values()))["owner"] = "grace"
    call("vm refresh")
    with pytest.raises(Conflict, match="was not made by cloudms"):
        call("vm renew", ["web"], ttl="8h")


def test_lists_say_which_leases_end_within_the_hour(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", count=5, ttl="8h")
    call("vm boot", name="kept", ttl="8h")
    call("vm protect", ["kept"])
    call("vm list")
    assert not ctx.warnings
    clock.sleep(7.5 * HOUR)
    call("vm list")
    (told,) = ctx.warnings
    assert told.startswith("leases that end within the hour: web-1 in 29m, web-2 in 29m, web-3 in 29m and 2 more;")
    assert "kept" not in told


def test_a_protected_vm_does_not_end_until_it_is_unprotected(call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    call("vm protect", ["web"])
    clock.sleep(9 * HOUR)
    assert vm(call).state is VmState.RUNNING
    assert call("sweep").items == ()
    call("vm unprotect", ["web"])
    assert vm(call).state is VmState.STOPPED


def test_a_start_after_the_end_is_warned_about_and_a_renewal_lets_it_run(call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    clock.sleep(9 * HOUR)
    vm(call)
    plan = call("vm start", ["web"], dry_run=True)
    assert plan.notes == ("the lease of web has ended, so that it goes off again: cms vm renew web",)
    call("vm start", ["web"])
    clock.sleep(120)
    assert vm(call).state is VmState.STOPPED
    call("vm renew", ["web"])
    assert call("vm start", ["web"], dry_run=True).notes == ()
    call("vm start", ["web"])
    clock.sleep(HOUR)
    assert vm(call).state is VmState.RUNNING


def test_a_renewal_by_another_catalog_keeps_a_vm_from_the_sweep(ctx: Context, call: Call, clock: ManualClock) -> None:
    call("vm boot", name="web", ttl="8h")
    cloud = fake(ctx, "one")
    clock.sleep(7 * HOUR)
    cloud.renew_vm(vm(call).with_(expires=None))
    clock.sleep(2 * HOUR)
    operation = call("sweep", apply=True)
    assert operation.steps[0].result["deed"] == "left alone: its lease was renewed with another catalog"
    assert vm(call).expires is None
    assert call("sweep").items == ()


class Deaf:
    """A fake cloud that keeps the lease and says that the guest does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: ssh.Result) -> None:
        self.ran: list[str] = []
        plain = FakeCloud.renew_vm

        def renew_vm(cloud: FakeCloud, wanted: Vm) -> Vm:
            plain(cloud, wanted)
            raise NotReady("its agent does not answer", details={"retry": False})

        def run(_vm: Vm, remote: list[str], **_more: Any) -> ssh.Result:
            self.ran += remote
            return answer

        monkeypatch.setattr(FakeCloud, "renew_vm", renew_vm)
        monkeypatch.setattr(ssh, "run", run)


def test_a_guest_without_agent_is_told_over_ssh(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("vm boot", name="web", ttl="8h")
    deaf = Deaf(monkeypatch, ssh.Result(exit=0))
    assert call("vm renew", ["web"], ttl="1d").steps[0].state == "done"
    assert deaf.ran[0].startswith("sh -c '#cloud-boothook\n#!/bin/sh\n")
    assert f"cms-lease set {int(vm(call).expires or 0)} " in deaf.ran[0]


def test_a_guest_that_cannot_be_told_fails_the_renewal_and_says_when_it_ends(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("vm boot", name="web", ttl="8h")
    Deaf(monkeypatch, ssh.Result(exit=255, stderr="Connection refused\n"))
    (step,) = call("vm renew", ["web"], ttl="1d").steps
    assert step.error["code"] == "not_ready"
    said = step.error["message"]
    assert "its guest could not be told and still ends itself at 2023-11-15T06:13:20Z: its agent does not ans" in said
    assert said.endswith("and SSH says: Connection refused")
    assert (vm(call).expires or 0) > 1_700_000_000 + 23 * HOUR


def test_a_guest_that_has_no_timer_is_left_to_the_sweep_with_a_word(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("vm boot", name="web", ttl="never")
    Deaf(monkeypatch, ssh.Result(exit=255, stderr="Connection refused\n"))
    assert call("vm renew", ["web"], ttl="1d").steps[0].state == "done"
    assert (
        "web has no timer that ends it (its agent does not answer, and SSH says: Connection refused)" in ctx.warnings[0]
    )


def test_a_vm_that_was_made_without_a_timer_is_tagged_and_left_to_the_sweep(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renew_vm(_cloud: FakeCloud, _vm: Vm) -> Vm:
        raise Unsupported("made without a timer")

    call("vm boot", name="web", ttl="8h")
    monkeypatch.setattr(FakeCloud, "renew_vm", renew_vm)
    assert call("vm renew", ["web"], ttl="1d").steps[0].state == "done"
    assert "web has no timer that ends it (made without a timer)" in ctx.warnings[0]
    assert (vm(call).expires or 0) > 1_700_000_000 + 23 * HOUR
    ctx.warnings.clear()
    call("vm suspend", ["web"])
    call("vm resume", ["web"])
    assert not ctx.warnings


def test_a_renewal_that_the_cloud_did_not_keep_is_none(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="8h")
    before = vm(call).expires
    fake(ctx, "one").add_fault("unreachable", "renew_vm", times=0)
    (step,) = call("vm renew", ["web"], ttl="1d").steps
    assert step.error["code"] == "not_ready"
    assert vm(call).expires == before


def test_a_frozen_guest_is_told_again_when_it_goes_on(ctx: Context, call: Call) -> None:
    call("vm boot", name="web", ttl="8h")
    call("vm suspend", ["web"])
    call("vm resume", ["web"])
    call("vm stop", ["web"], save=True)
    call("vm start", ["web"])
    call("vm snapshot create", "web", "s1")
    call("vm snapshot revert", "web", "s1")
    assert len(fake(ctx, "one").calls("renew_vm")) == 3
    call("vm boot", name="plain", ttl="never")
    call("vm suspend", ["plain"])
    call("vm resume", ["plain"])
    assert len(fake(ctx, "one").calls("renew_vm")) == 3
