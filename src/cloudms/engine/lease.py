"""Leases: the end that a VM was given stands in the catalog, on its cloud, and in the guest, which ends itself then."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from cloudms import lease, ssh
from cloudms.clock import age, iso
from cloudms.clouds.base import Cloud, Lease, Metadata
from cloudms.context import Context
from cloudms.engine import vms as change
from cloudms.engine.plan import Work
from cloudms.errors import CloudmsError, Invalid, NotReady, Unsupported
from cloudms.model import Origin, Vm, VmState
from cloudms.units import duration

_SOON = 3600.0
"""Seconds before its end at which a lease is worth a word in every list."""
_NAMED = 3
"""VMs that such a word names."""
_DAY = 24 * 3600.0


def chosen(ctx: Context, vm: Vm, ttl: str | None) -> float:
    """Return the seconds that a renewal gives: those asked for, else those of the VM's lease, else those of its cloud.

    0 is never. Raises: Invalid (no duration, or nothing says one).
    """
    if ttl is not None:
        return duration(ttl)
    if vm.ttl:
        return vm.ttl
    if vm.ttl is None and vm.expires and vm.created and vm.expires > vm.created:
        return float(round(vm.expires - vm.created))
    default = ctx.config.cloud(vm.cloud).default.get("ttl")
    found = duration(default) if default else _DAY if ctx.cloud_class(vm.cloud).costs_money else 0.0
    if not found:
        raise Invalid(f"{vm.name} has no lease that could be given again", hint="say one, such as --ttl 8h")
    return found


def renew(work: Work) -> Vm:
    """Give a VM another end. Raises: NotReady (all but its guest knows it, which ends itself at the old end)."""
    ctx = work.ctx
    cloud, before = change.load(work)
    wanted = before.with_(expires=work.step.params["expires"], ttl=work.step.params["ttl"])
    timed = lease.end_of(before) is not None
    try:
        problem = tell(ctx, cloud, wanted)
    except Unsupported as error:
        problem, timed = error.message, False
    done = change.current(ctx, wanted)
    change.save(ctx, done, work.step.action, f"its lease ends {end(wanted)}", work.operation)
    if problem and not timed:
        ctx.warn(
            f"{before.name} has no timer that ends it ({problem}); cms sweep --apply does when its lease has ended"
        )
    elif problem:
        raise NotReady(
            f"the lease of {before.name} ends {end(wanted)} now, but its guest could not be told and still ends itself "
            f"{end(before)}: {problem}",
            hint=f"cms vm renew {before.name} again when it can be reached",
        )
    return done


def tell(ctx: Context, cloud: Cloud, vm: Vm) -> str:
    """Let the cloud and the guest of `vm` know its end; return why the guest could not be told, or nothing.

    Where guests do not end themselves there is nothing to tell them: a sweep ends those.
    Raises: Unsupported (made without a timer; the cloud keeps the end), what the cloud raises when it cannot keep it.
    """
    if not isinstance(cloud, Lease) or cloud.supports(Lease, vm):
        if isinstance(cloud, Metadata):
            cloud.tag_vm(vm)
        return ""
    try:
        cloud.renew_vm(vm)
    except Unsupported:
        if isinstance(cloud, Metadata):
            cloud.tag_vm(vm)
        raise
    except NotReady as error:
        seen = cloud.get_vm(vm)
        if seen.expires != vm.expires:
            raise
        return _over_ssh(ctx, vm.with_(state=seen.state), error.message)
    return ""


def tell_again(ctx: Context, vm: Vm) -> None:
    """Tell a guest its end that may have missed it, or got another memory; what does not work is warned about."""
    if vm.expires is None and vm.ttl is None:
        return
    try:
        problem = tell(ctx, ctx.cloud(vm.cloud), vm)
    except Unsupported:
        return
    except CloudmsError as error:
        problem = error.message
    if problem:
        ctx.warn(f"the guest of {vm.name} could not be told when its lease ends ({problem}): cms vm renew {vm.name}")


def _over_ssh(ctx: Context, vm: Vm, problem: str) -> str:
    """Let the guest run the timer's script by SSH; return why it did not, or nothing."""
    if vm.state is not VmState.RUNNING or not vm.ssh_host:
        return problem
    hook = quote(lease.hook(lease.end_of(vm), stamp=ctx.clock.now()))
    done = ssh.run(vm, [f"sh -c {hook}" if vm.login == "root" else f"sudo -n sh -c {hook}"])
    if done.exit == 0:
        return ""
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{problem}, and SSH says: {said[-1] if said else f'exit {done.exit}'}"


def end(vm: Vm) -> str:
    """Return for people when a lease ends."""
    return f"at {iso(vm.expires)}" if vm.expires else "never"


def soon(ctx: Context, vms: Iterable[Vm]) -> None:
    """Warn of leases that end within the hour."""
    now = ctx.clock.now()
    near = sorted(
        (vm.expires - now, vm.name)
        for vm in vms
        if vm.expires and now < vm.expires < now + _SOON and vm.origin is Origin.OWN and not vm.protected
    )
    if near:
        named = ", ".join(f"{name} in {age(left)}" for left, name in near[:_NAMED])
        more = f" and {len(near) - _NAMED} more" if len(near) > _NAMED else ""
        ctx.warn(f"leases that end within the hour: {named}{more}; cms vm renew {near[0][1]} gives more time")
