"""One VM's change: the intent in the catalog, the call, the new row and its event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudms.clouds.base import Cloud, Role, require
from cloudms.context import Context
from cloudms.engine import addresses
from cloudms.engine.plan import Work
from cloudms.engine.refresh import event, forget, merged
from cloudms.engine.reserve import release
from cloudms.engine.select import Chosen
from cloudms.errors import CloudmsError, Conflict, Invalid, NotFound, Timeout
from cloudms.model import Origin, Step, Vm, VmState

_ASK_AGAIN = 5.0
"""Seconds after which a guest is asked again to shut down: one that is still starting misses the first time."""
_GRACE = 60.0
"""Seconds a graceful stop may take before the machine is switched off."""
_OFF = (VmState.STOPPED, VmState.DEALLOCATED, VmState.SAVED)
_PERSONAL = ("labels", "group", "protected", "keep_stopped")
"""Fields that a person may change while another change of the VM waits."""
_LOOK = 0.25
"""Seconds between two looks at a VM that changes."""


def steps(action: str, vms: Sequence[Vm], **params: Any) -> tuple[Step, ...]:
    """Return one step per VM, and one per cloud that was silent when they were chosen."""
    found = (Step(action=action, cloud=vm.cloud, target=vm.name, params={"key": vm.key, **params}) for vm in vms)
    return (*found, *(vms.unseen() if isinstance(vms, Chosen) else ()))


def check(ctx: Context, vms: Sequence[Vm], role: type[Role]) -> None:
    """Refuse before any call when a VM's cloud lacks the role. Raises: Unsupported."""
    for vm in vms:
        require(ctx.cloud(vm.cloud), role, vm)


def check_unprotected(vms: Sequence[Vm], deed: str) -> None:
    """Refuse to touch protected VMs, and those that others made. Raises: Conflict."""
    for vm in vms:
        if vm.protected:
            raise Conflict(f"{vm.name} is protected and will not be {deed}", hint=f"cms vm unprotect {vm.name}")
        if vm.origin is Origin.FOREIGN and deed == "deleted":
            raise Conflict(
                f"{vm.name} was not made by cloudms and will not be deleted", hint=f"cms vm adopt {vm.name} first"
            )


def check_still(cloud: Cloud, vm: Vm, deed: str) -> None:
    """Refuse, right before the call, what somebody has protected since it was asked for. Raises: Conflict.

    The cloud is asked, too: the mark may have been set with another catalog.
    """
    check_unprotected([vm], deed)
    try:
        seen = cloud.get_vm(vm)
    except NotFound:
        return
    check_unprotected([vm.with_(protected=seen.protected)], deed)


def check_ours(vms: Sequence[Vm], deed: str) -> None:
    """Refuse to change VMs that others made and nobody has taken into care. Raises: Conflict."""
    for vm in vms:
        if vm.origin is Origin.FOREIGN:
            text = f"{vm.name} was not made by cloudms and will not be {deed}"
            raise Conflict(text, hint=f"cms vm adopt {vm.name} first")


def look(work: Work) -> tuple[Cloud, Vm, Vm]:
    """Return the cloud and the VM of a step, as recorded and as its cloud says it is now. Raises: NotFound."""
    cloud, vm = load(work)
    try:
        return cloud, vm, cloud.get_vm(vm)
    except NotFound:
        forget(work.ctx, vm, "gone from its cloud", work.operation)
        raise


def load(work: Work) -> tuple[Cloud, Vm]:
    """Return the cloud and the VM of a step. Raises: NotFound."""
    stored = work.ctx.catalog.get("vm", work.step.params["key"])
    if stored is None:
        raise NotFound(f"{work.step.target} is gone", hint="cms vm list")
    return work.ctx.cloud(work.step.cloud), Vm.from_document(stored.document)


def current(ctx: Context, vm: Vm) -> Vm:
    """Return a VM that was waited for with what a person has changed of it meanwhile."""
    stored = ctx.catalog.get("vm", vm.key)
    return vm.with_(**{name: stored.document[name] for name in _PERSONAL}) if stored else vm


def save(ctx: Context, vm: Vm, action: str, text: str, operation: str = "") -> Vm:
    """Store a VM's row together with the event that changed it."""
    ctx.catalog.put("vm", {vm.key: vm.to_document()}, events=[event(ctx, action, vm, text, operation)])
    return vm


def intend(work: Work, vm: Vm, state: VmState) -> Vm:
    """Write the state a VM is about to enter, before the call."""
    return save(
        work.ctx,
        vm.with_(state=state, since=work.ctx.clock.now(), reason=""),
        work.step.action,
        f"asked: {state}",
        work.operation,
    )


def change(
    work: Work,
    during: VmState | None,
    call: Callable[[Any, Vm], Vm],
    until: Sequence[VmState] = (),
    *,
    timeout: float | None = None,
    noted: Mapping[str, Any] | None = None,
    keep: Mapping[str, Any] | Callable[[Vm], Mapping[str, Any]] | None = None,
) -> Vm:
    """Write the intent, call the cloud, wait until the VM is in one of `until`, and record it.

    Parameters: `noted`, fields that are written down with the intent; `keep`, fields of our own record to change in
    the end, or a function that returns them. When the call fails, the row says again what the cloud says.
    """
    cloud, vm = load(work)
    before = vm
    if during:
        vm = intend(work, vm.with_(**(noted or {})), during)
    try:
        after = merged(vm, call(cloud, vm), work.ctx.clock.now())
        if until:
            after = wait_state(work, cloud, after, until, timeout)
    except NotFound:
        forget(work.ctx, before, "gone from its cloud", work.operation)
        raise
    except CloudmsError as error:
        _restore(work, cloud, before.with_(resized_from=vm.resized_from, confirm_by=vm.confirm_by), error)
        raise
    done = current(work.ctx, after)
    done = done.with_(**(keep(done) if callable(keep) else keep or {}))
    return save(work.ctx, done, work.step.action, f"{done.state}{_because(done)}", work.operation)


def _because(vm: Vm) -> str:
    return f": {vm.reason}" if vm.reason else ""


def _restore(work: Work, cloud: Cloud, before: Vm, error: CloudmsError) -> None:
    try:
        now = merged(before, cloud.get_vm(before), work.ctx.clock.now())
    except CloudmsError:
        now = before
    save(work.ctx, current(work.ctx, now), work.step.action, f"failed: {error.message}", work.operation)


def wait_state(
    work: Work, cloud: Cloud, vm: Vm, until: Sequence[VmState], timeout: float | None, *, pause: float = _LOOK
) -> Vm:
    """Ask for the VM until it is in one of `until`. Raises: Timeout, Invalid (it went to error), Interrupted."""
    ctx = work.ctx
    limit = timeout if timeout is not None else (vm.state.deadline or 300.0)
    end = ctx.clock.monotonic() + limit
    while vm.state not in until:
        wrong = went_wrong(vm, until)
        if wrong:
            raise wrong
        if ctx.clock.monotonic() >= end:
            raise too_late(vm, limit)
        work.report(f"{vm.state}, waiting for {' or '.join(until)}")
        check_cancel(work)
        ctx.pause(pause)
        vm = merged(vm, cloud.get_vm(vm), ctx.clock.now())
    return current(ctx, vm)


def went_wrong(vm: Vm, until: Sequence[VmState]) -> Invalid | None:
    """Return the error of a VM that will not reach one of `until` any more, or None."""
    if vm.state in until or vm.state not in (VmState.ERROR, VmState.TERMINATED):
        return None
    what = "went to error" if vm.state is VmState.ERROR else "was terminated"
    return Invalid(f"{vm.name} {what}: {vm.reason or 'no reason given'}", hint=f"cms vm console {vm.name}")


def too_late(vm: Vm, limit: float) -> Timeout:
    """Return the error of a VM that was waited for in vain for `limit` seconds."""
    return Timeout(
        f"{vm.name} is still {vm.state} after {limit:g} s", hint=f"cms vm wait {vm.name}, or cms vm info {vm.name}"
    )


def check_cancel(work: Work) -> None:
    """Stop waiting when `operation cancel` asked for it. Raises: Interrupted (through the next pause)."""
    stored = work.ctx.catalog.get("operation", work.operation)
    if stored and stored.document.get("cancel"):
        work.ctx.stop()


def stop_gracefully(work: Work, *, force: bool, timeout: float | None, kept: bool = True) -> Vm:
    """Shut down, and switch off when the guest has not obeyed within `timeout` seconds.

    Parameters: `kept`, whether it stays off until a person starts it.
    """
    grace = _GRACE if timeout is None else timeout

    def call(cloud: Any, vm: Vm) -> Vm:
        if force:
            return cloud.stop_vm(vm, force=True)  # type: ignore[no-any-return]
        end = work.ctx.clock.monotonic() + grace
        while (left := end - work.ctx.clock.monotonic()) > 0:
            asked = cloud.stop_vm(vm, force=False)
            try:
                return wait_state(work, cloud, asked, _OFF, min(left, _ASK_AGAIN))
            except Timeout:
                continue
        work.report(f"did not shut down within {grace:g} s, switching it off")
        return cloud.stop_vm(vm, force=True)  # type: ignore[no-any-return]

    return change(
        work,
        VmState.STOPPING,
        call,
        _OFF,
        keep={"keep_stopped": kept},
    )


def delete(work: Work) -> Vm:
    """Delete a VM and forget it when its cloud says it is gone. Raises: Conflict (protected meanwhile)."""
    key = work.step.params["key"]
    stored = work.ctx.catalog.get("vm", key)
    if stored is None:
        release(work.ctx, work.step.target, key)  # whoever forgot it was killed before that
        return Vm(name=work.step.target, cloud=work.step.cloud, state=VmState.TERMINATED)
    vm = Vm.from_document(stored.document)
    cloud = work.ctx.cloud(vm.cloud)
    check_still(cloud, vm, "deleted")
    vm = intend(work, vm, VmState.TERMINATING)
    if work.step.params.get("keep_ip"):
        addresses.keep(work, cloud, vm)
    cloud.delete_vm(vm)
    wait_gone(work, cloud, vm)
    forget(work.ctx, vm, "deleted", work.operation)
    return vm.with_(state=VmState.TERMINATED, public_ips=(), private_ips=(), fetched=work.ctx.clock.now())


def wait_gone(work: Work, cloud: Cloud, vm: Vm, timeout: float | None = None) -> None:
    """Wait until the cloud no longer has the VM, or says it is terminated. Raises: Timeout, Interrupted."""
    end = work.ctx.clock.monotonic() + (timeout or VmState.TERMINATING.deadline or 600.0)
    while True:
        try:
            seen = cloud.get_vm(vm)
        except NotFound:
            return
        if seen.state is VmState.TERMINATED:
            return
        if work.ctx.clock.monotonic() >= end:
            raise Timeout(f"{vm.name} is still {seen.state}; its record is kept", hint=f"cms vm delete {vm.name} again")
        work.report(f"{seen.state}, waiting until it is gone")
        check_cancel(work)
        work.ctx.pause(_LOOK)
