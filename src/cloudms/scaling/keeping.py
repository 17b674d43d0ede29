"""The members of one group as its controller sees them, and how those that come up are let in.

Nothing here waits: what takes time is begun beside the loop, and looked at again in the next pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from cloudms.clock import SystemClock
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.errors import CloudmsError
from cloudms.model import Operation, Vm
from cloudms.scaling import hooks, members, roster
from cloudms.scaling.carrying import Grow
from cloudms.scaling.front import Front
from cloudms.scaling.spec import ScalingSpec
from cloudms.scaling.store import Member, Pending, Scaler
from cloudms.scaling.words import span

_WIDTH = 8


class Keeping:
    """What is known of a group's members. Parameters: `grow`, how new members are booted."""

    def __init__(self, ctx: Context, group: str, grow: Grow) -> None:
        self.ctx = ctx
        self.group = group
        self._grow = grow
        self._inline = not isinstance(ctx.clock, SystemClock)
        self._threads = ThreadPoolExecutor(_WIDTH, thread_name_prefix="cms-scaler")
        self._work = ctx.branch()
        self._scaler: Scaler | None = None
        self._spec = ScalingSpec()
        self._hooks: dict[str, hooks.Hook] = {}
        self._front: Front | None = None
        self._vms: dict[str, Vm] = {}
        self._members: dict[str, Member] = {}
        self._job: Future[Operation | None] | None = None
        self._asked: dict[str, Future[bool]] = {}
        self._hooking: dict[str, Future[str]] = {}
        self._news: list[str] = []

    def _known(self) -> dict[str, Vm]:
        """Return the members as the catalog knows them."""
        return self._mine(groups.all_vms(self.ctx, fresh=False))

    def _mine(self, known: Sequence[Vm]) -> dict[str, Vm]:
        group = groups.find(self.ctx, self.group, known)
        return {vm.key: vm for vm in groups.members_of(group, known) if members.mine(group, vm)}

    def _status(self, key: str) -> str:
        member = self._members.get(key)
        return member.status if member else ""

    def _update(self, scaler: Scaler, now: float) -> None:
        """Work out how each member is."""
        before = self._members
        pending = pending_of(scaler)
        waking = pending.wake if pending and pending.phase == "up" else ()
        servers = self._front.servers() if self._front else None
        after = roster.of(
            self._vms, before, now, warm_up=self._spec.warm_up, watched=roster.watched(now, scaler.seen),
            waking=waking, servers=servers, balanced=self._balanced,
        )  # fmt: skip
        for key, member in after.items():
            was = before.get(key)
            if was is None or was.status == member.status:
                continue
            if member.status in ("off", "standby") and was.status in (*roster.SERVING, "draining"):
                self._out_of_front(member.name)
            if member.status in ("off", "sick", "in_service"):
                self._tell(f"{member.name} is {_word(member.status)}{f': {member.reason}' if member.reason else ''}")
        for key in set(before) - set(after):
            self._out_of_front(before[key].name)
            if before[key].status not in ("draining", "standby"):
                self._tell(f"{before[key].name} is gone")
        if self._front and servers is not None:
            for key, member in after.items():
                if member.status in roster.SERVING and member.name not in servers:
                    self._front.admit(self._vms[key])
        self._members = after

    @property
    def _balanced(self) -> bool:
        return self._front is not None and self._front.balancer is not None

    def _out_of_front(self, name: str) -> None:
        if self._front:
            try:
                self._front.remove(name)
            except CloudmsError as error:
                self._tell(f"{name} could not be taken out of the balancer: {error.message}")

    def _reach(self, now: float) -> None:
        """Ask members that come up whether they answer, and let those that do have requests."""
        for key, member in list(self._members.items()):
            vm = self._vms.get(key)
            if vm is None or not self._coming(member):
                continue
            if self._answered(key, vm) and self._hook_ran(key, member, vm):
                try:
                    if self._front:
                        self._front.admit(vm)
                except CloudmsError as error:
                    self._members[key] = member.with_(reason=error.message)
                    continue
                came = now - member.begun if member.begun else None
                self._members[key] = roster.admitted(member, now, self._spec.warm_up)
                self._tell(f"{member.name} takes requests{f' after {span(came)}' if came is not None else ''}")

    def _coming(self, member: Member) -> bool:
        """Whether a member is on its way up, or sick and perhaps well again."""
        waking = self._scaler is not None and member.begun is not None and member.status == "standby"
        return member.status == "booting" or waking or (member.status == "sick" and not member.hooked)

    def _answered(self, key: str, vm: Vm) -> bool:
        asked = self._asked.get(key)
        if asked is None:
            front = self._front
            asked = self._asked[key] = self._spawn(lambda: front is not None and front.answers(vm))
        if not asked.done():
            return False
        if asked.exception() is None and asked.result():
            return True
        del self._asked[key]
        return False

    def _hook_ran(self, key: str, member: Member, vm: Vm) -> bool:
        """Run the hook before service once, and return whether the member may serve."""
        hook = self._hooks.get("before_service")
        if hook is None or member.hooked:
            self._asked.pop(key, None)
            return True
        running = self._hooking.get(key)
        if running is None:
            running = self._hooking[key] = self._spawn(lambda: hooks.run(hook, "before_service", self.group, vm))
        if not running.done():
            return False
        del self._hooking[key]
        self._asked.pop(key, None)
        why = running.result()
        if why:
            self._tell(f"{member.name}: its hook before service {why}")
        if why and hook.on_failure == "abandon":
            now = self.ctx.clock.now()
            self._members[key] = member.with_(
                status="sick", since=now, reason=f"its hook before service {why}", hooked=True
            )
            return False
        return True

    def _tell(self, text: str) -> None:
        self._news.append(text)

    def _spawn(self, do: Callable[[], Any]) -> Future[Any]:
        """Do something beside the loop; at once where the clock is told to move."""
        if not self._inline:
            return self._threads.submit(do)
        made: Future[Any] = Future()
        try:
            made.set_result(do())
        except BaseException as error:  # noqa: BLE001 (handed to who waits for it)
            made.set_exception(error)
        return made


def pending_of(scaler: Scaler) -> Pending | None:
    """Return the action that a group has in flight."""
    return Pending.from_document(scaler.pending) if scaler.pending else None


def _word(status: str) -> str:
    return status.replace("_", " ")


def like(roll: Mapping[str, Any]) -> str:
    """Return what `group roll` asked for in words."""
    return " and ".join(f"{key} {roll[key]}" for key in ("image", "flavor") if roll.get(key))
