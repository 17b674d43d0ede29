"""`cms vm start`, `stop`, `suspend`, `resume` and `reboot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Deallocate, Power, Reboot, Role, Save, Suspend
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine import vms as change
from cloudms.engine.select import vms
from cloudms.model import Vm, VmState
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.vm.look import CloudName, VmNames

_COLUMNS = ("name", "cloud", "state", "reason", "public_ips")
Timeout = Annotated[float | None, Doc("seconds to wait at most")]


def _plan(ctx: Context, verb_: str, found: Sequence[Vm], role: type[Role], **params: Any) -> Plan:
    change.check(ctx, found, role)
    words = verb_.split()
    return Plan(
        verb=verb_,
        summary=f"{words[-1]} {naming.compress(vm.name for vm in found)}",
        steps=change.steps(".".join(words), found, **params),
    )


@verb("vm", "start", changes=True, columns=_COLUMNS, example="cms vm start web[1-3]")
def start(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    timeout: Timeout = None,
) -> Plan:
    """Start VMs; a saved one continues where it was."""
    found = vms(ctx, names, cloud=cloud or "", labels=label, what="name the VMs to start")
    return _plan(ctx, "vm start", found, Power, timeout=timeout)


@action("vm.start")
def _start(work: Work) -> Vm:
    return change.change(
        work,
        VmState.PENDING,
        lambda cloud, vm: cloud.start_vm(vm),
        (VmState.RUNNING,),
        timeout=work.step.params["timeout"],
        keep={"keep_stopped": False},
    )


@verb("vm", "stop", changes=True, columns=_COLUMNS, example="cms vm stop web1")
def stop(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    force: Annotated[bool, Doc("switch off at once, without asking the guest")] = False,
    save: Annotated[bool, Doc("keep its memory on disk, so that start continues where it was")] = False,
    deallocate: Annotated[bool, Doc("give its place back, so that only its disks are billed")] = False,
    timeout: Annotated[float | None, Doc("seconds the guest has to shut down before it is switched off")] = None,
) -> Plan:
    """Stop VMs: the guest is asked to shut down and switched off when it does not in time.

    A VM that a person stopped stays stopped: no controller starts it.
    """
    found = vms(ctx, names, cloud=cloud or "", labels=label, what="name the VMs to stop")
    role: type[Role] = Save if save else Deallocate if deallocate else Power
    return _plan(ctx, "vm stop", found, role, force=force, save=save, deallocate=deallocate, timeout=timeout)


@action("vm.stop")
def _stop(work: Work) -> Vm:
    params = work.step.params
    kept = {"keep_stopped": True}
    if params["save"]:
        return change.change(work, VmState.SUSPENDING, lambda cloud, vm: cloud.save_vm(vm), (VmState.SAVED,), keep=kept)
    if params["deallocate"]:
        return change.change(
            work, VmState.STOPPING, lambda cloud, vm: cloud.deallocate_vm(vm), (VmState.DEALLOCATED,), keep=kept
        )
    return change.stop_gracefully(work, force=params["force"], timeout=params["timeout"])


@verb("vm", "suspend", changes=True, columns=_COLUMNS, example="cms vm suspend web1")
def suspend(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Freeze VMs with their memory kept."""
    return _plan(ctx, "vm suspend", vms(ctx, names, cloud=cloud or "", labels=label), Suspend)


@action("vm.suspend")
def _suspend(work: Work) -> Vm:
    until = (VmState.SUSPENDED, VmState.SAVED)
    return change.change(work, VmState.SUSPENDING, lambda cloud, vm: cloud.suspend_vm(vm), until)


@verb("vm", "resume", changes=True, columns=_COLUMNS, example="cms vm resume web1")
def resume(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Let suspended or saved VMs go on."""
    return _plan(ctx, "vm resume", vms(ctx, names, cloud=cloud or "", labels=label), Suspend)


@action("vm.resume")
def _resume(work: Work) -> Vm:
    kept = {"keep_stopped": False}
    return change.change(work, None, lambda cloud, vm: cloud.resume_vm(vm), (VmState.RUNNING,), keep=kept)


@verb("vm", "reboot", changes=True, columns=_COLUMNS, example="cms vm reboot web1")
def reboot(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
    force: Annotated[bool, Doc("reset the machine without asking the guest")] = False,
) -> Plan:
    """Restart VMs."""
    return _plan(ctx, "vm reboot", vms(ctx, names, cloud=cloud or "", labels=label), Reboot, force=force)


@action("vm.reboot")
def _reboot(work: Work) -> Vm:
    force = work.step.params["force"]
    return change.change(
        work, VmState.REBOOTING, lambda cloud, vm: cloud.reboot_vm(vm, force=force), (VmState.RUNNING,)
    )
