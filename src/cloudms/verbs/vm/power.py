"""`cms vm start`, `stop`, `deallocate`, `suspend`, `resume` and `reboot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.clouds.base import Deallocate, Power, Reboot, Role, Save, Suspend
from cloudms.context import Context
from cloudms.engine import Plan, Work, action, lease
from cloudms.engine import vms as change
from cloudms.engine.ceilings import starting
from cloudms.engine.select import vms
from cloudms.model import Vm, VmState
from cloudms.verb import Doc, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames

_COLUMNS = ("name", "cloud", "state", "reason", "public_ips")
Timeout = Annotated[float | None, Doc("seconds to wait at most")]


def planned(ctx: Context, verb_: str, found: Sequence[Vm], role: type[Role], **params: Any) -> Plan:
    """Return the plan of a verb that does the same to each of some VMs. Raises: Unsupported."""
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
    ended = [vm.name for vm in found if vm.expires and vm.expires < ctx.clock.now() and not vm.protected]
    notes = tuple(f"the lease of {name} has ended, so that it goes off again: cms vm renew {name}" for name in ended)
    return planned(ctx, "vm start", found, Power, timeout=timeout).with_(notes=notes)


@action("vm.start", demand=starting)
def _start(work: Work) -> Vm:
    saved = change.load(work)[1].state is VmState.SAVED
    done = change.change(
        work,
        VmState.PENDING,
        lambda cloud, vm: cloud.start_vm(vm),
        (VmState.RUNNING,),
        timeout=work.step.params["timeout"],
        keep={"keep_stopped": False},
    )
    if saved:
        lease.tell_again(work.ctx, done)
    return done


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
    return planned(ctx, "vm stop", found, role, force=force, save=save, deallocate=deallocate, timeout=timeout)


@action("vm.stop")
def _stop(work: Work) -> Vm:
    params = work.step.params
    kept = {"keep_stopped": True}
    if params["save"]:
        return change.change(work, VmState.SUSPENDING, lambda cloud, vm: cloud.save_vm(vm), (VmState.SAVED,), keep=kept)
    if params["deallocate"]:
        goal = getattr(work.ctx.cloud_class(work.step.cloud), "deallocated", VmState.DEALLOCATED)
        return change.change(work, VmState.STOPPING, lambda cloud, vm: cloud.deallocate_vm(vm), (goal,), keep=kept)
    return change.stop_gracefully(work, force=params["force"], timeout=params["timeout"])


@verb("vm", "deallocate", changes=True, columns=_COLUMNS, example="cms vm deallocate web1")
def deallocate(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Stop VMs and give their place back, so that only their disks are billed; vm start finds them another.

    The same as `vm stop --deallocate`.
    """
    found = vms(ctx, names, cloud=cloud or "", labels=label, what="name the VMs to deallocate")
    change.check(ctx, found, Deallocate)
    steps = change.steps("vm.stop", found, force=False, save=False, deallocate=True, timeout=None)
    shown = naming.compress(vm.name for vm in found)
    return Plan(verb="vm deallocate", summary=f"deallocate {shown}", steps=steps)


@verb("vm", "suspend", changes=True, columns=_COLUMNS, example="cms vm suspend web1")
def suspend(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Freeze VMs with their memory kept; no controller lets go on what a person has frozen."""
    return planned(ctx, "vm suspend", vms(ctx, names, cloud=cloud or "", labels=label), Suspend)


@action("vm.suspend")
def _suspend(work: Work) -> Vm:
    until = (VmState.SUSPENDED, VmState.SAVED)
    kept = {"keep_stopped": True}
    return change.change(work, VmState.SUSPENDING, lambda cloud, vm: cloud.suspend_vm(vm), until, keep=kept)


@verb("vm", "resume", changes=True, columns=_COLUMNS, example="cms vm resume web1")
def resume(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    label: Labels = None,
) -> Plan:
    """Let suspended or saved VMs go on."""
    return planned(ctx, "vm resume", vms(ctx, names, cloud=cloud or "", labels=label), Suspend)


@action("vm.resume", demand=starting)
def _resume(work: Work) -> Vm:
    kept = {"keep_stopped": False}
    done = change.change(work, None, lambda cloud, vm: cloud.resume_vm(vm), (VmState.RUNNING,), keep=kept)
    lease.tell_again(work.ctx, done)
    return done


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
    return planned(ctx, "vm reboot", vms(ctx, names, cloud=cloud or "", labels=label), Reboot, force=force)


@action("vm.reboot")
def _reboot(work: Work) -> Vm:
    force = work.step.params["force"]
    return change.change(
        work, VmState.REBOOTING, lambda cloud, vm: cloud.reboot_vm(vm, force=force), (VmState.RUNNING,)
    )
