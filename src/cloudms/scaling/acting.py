"""The one action of a group that is in flight, brought one step further in each pass.

up:   wait for those that are woken and booted ──▶ down, when others go for them ──▶ done
down: no more requests ──▶ the last answer, or the deadline ──▶ the person's hook ──▶ to rest ──▶ done
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cloudms.engine import groups
from cloudms.errors import CloudmsError
from cloudms.scaling import carrying, hooks, roster, store
from cloudms.scaling.keeping import Keeping, pending_of
from cloudms.scaling.store import Pending, Scaler
from cloudms.scaling.words import span

_LONGEST_WAIT = 300.0
"""Seconds at most for which nothing is tried after failures."""


class Acting(Keeping):
    """What is done to members."""

    def _advance(self, scaler: Scaler, now: float) -> Scaler:
        """Bring the action in flight one step further."""
        pending = pending_of(scaler)
        if pending is None:
            return scaler
        return self._up(scaler, pending, now) if pending.phase == "up" else self._down(scaler, pending, now)

    def _up(self, scaler: Scaler, pending: Pending, now: float) -> Scaler:
        if "up" not in pending.said:
            ended = self._raised(scaler, pending, now)
            if ended is None:
                return scaler
            pending, none = ended
            if none:
                return self._failed(scaler, pending, now)
            scaler = scaler.with_(pending=pending.to_document(), failures=0, wait=None)
        if any(member.status == "booting" for member in self._members.values()):
            return scaler
        if pending.kind in ("replace", "roll") and not self._replaced(pending):
            return self._failed(scaler, pending, now)
        if pending.kind == "stock":
            fresh = (each for each in self._members.values() if each.status in roster.SERVING)
            pending = pending.with_(gone=tuple(each.key for each in fresh if each.since >= pending.begun))
        if pending.gone:
            return scaler.with_(pending=pending.with_(phase="down").to_document())
        return self._finish(scaler, pending, now)

    def _raised(self, scaler: Scaler, pending: Pending, now: float) -> tuple[Pending, bool] | None:
        """Wake and boot; return the action with what went wrong, and whether nothing came of it; None meanwhile."""
        if self._job is None:
            fresh = {key: str((scaler.roll or {}).get(key) or "") for key in ("image", "flavor")}
            fresh = fresh if pending.kind == "roll" else {}
            for key in pending.wake:
                if key in self._members and self._members[key].begun is None:
                    self._members[key] = self._members[key].with_(begun=now)
            self._job = self._spawn(lambda: carrying.up(self._work, self.group, pending, self._grow, **fresh))
        if not self._job.done():
            return None
        wrong, none = self._ended()
        self._vms = self._known()
        self._update(scaler, now)
        for key in pending.wake:
            member = self._members.get(key)
            if member and member.status == "standby":
                self._members[key] = member.with_(begun=None, failed=now, reason="it could not be woken")
        return pending.with_(said=(*pending.said, "up", *wrong)), none

    def _replaced(self, pending: Pending) -> bool:
        """Whether those that are to take over serve; else nobody goes who still serves."""
        fresh = [
            each for each in self._members.values() if each.status in roster.SERVING and each.since >= pending.begun
        ]
        wanted = pending.boot + len(pending.wake)
        dead = pending.kind == "replace" and all(
            self._status(key) in ("sick", "off", "standby", "") for key in pending.gone
        )
        return len(fresh) >= wanted or dead

    def _down(self, scaler: Scaler, pending: Pending, now: float) -> Scaler:
        """Let members that go end what they have, and put them to rest."""
        left = [key for key in pending.gone if key in self._members]
        if self._sent_away(left, now) and self._balanced:
            return scaler  # written down before anything else happens to them
        if any(self._busy(key, now) for key in left) or not self._hooked_end(left):
            return scaler
        if self._job is None:
            for key in left:
                self._out_of_front(self._members[key].name)
            vms = [self._vms[key] for key in left if key in self._vms]
            way = "delete" if pending.kind in ("roll", "replace") else self._spec.on_in
            way = "suspend" if pending.kind == "stock" and way == "delete" else way
            self._job = self._spawn(lambda: carrying.down(self._work, self.group, pending, vms, way))
        if not self._job.done():
            return scaler
        wrong, _ = self._ended()
        self._vms = self._known()
        for key in left:
            if key in self._vms:
                member = self._members[key]
                failed = now if pending.kind == "replace" else member.failed
                self._members[key] = member.with_(
                    status="standby", since=now, reason="", begun=None, ill=None, failed=failed, hooked=False
                )
        self._update(scaler.with_(pending=None), now)
        return self._finish(scaler, pending.with_(said=(*pending.said, "down", *wrong)), now)

    def _sent_away(self, keys: Sequence[str], now: float) -> bool:
        """Give members no more requests, and return whether any had them until now."""
        serving = [key for key in keys if self._status(key) in (*roster.SERVING, "booting", "sick")]
        for key in serving:
            member = self._members[key]
            if self._front and member.status in roster.SERVING:
                self._front.drain(member.name)
            self._members[key] = roster.leaving(member, now, "it ends what it has")
        return bool(serving)

    def _busy(self, key: str, now: float) -> bool:
        """Whether a member that goes still has requests and time for them."""
        member = self._members[key]
        if member.status != "draining" or now - member.since >= self._spec.drain:
            return False
        return bool(self._front and self._front.busy(member.name))

    def _hooked_end(self, keys: Sequence[str]) -> bool:
        """Run the hook before the end for those that go, and return whether all of them may."""
        hook = self._hooks.get("before_end")
        if hook is None:
            return True
        for key in keys:
            vm, member = self._vms.get(key), self._members[key]
            if vm is None or not member.hooked:
                continue
            running = self._hooking.get(key)
            if running is None:
                running = self._hooking[key] = self._spawn(partial(hooks.run, hook, "before_end", self.group, vm))
            if not running.done():
                return False
            del self._hooking[key]
            if running.result():
                self._tell(f"{member.name}: its hook before the end {running.result()}")
            self._members[key] = member.with_(hooked=False)
        return True

    def _ended(self) -> tuple[list[str], bool]:
        """Return what went wrong with the operation that has ended, and whether nothing came of it."""
        job, self._job = self._job, None
        try:
            operation = job.result() if job else None
        except CloudmsError as error:
            self._tell(error.message)
            return [error.message], True
        wrong = carrying.problems(operation)
        for text in wrong:
            self._tell(text)
        steps = [step for step in operation.steps if step.cloud] if operation else []
        none = bool(steps) and not any(step.state == "done" for step in steps)
        return wrong, none

    def _failed(self, scaler: Scaler, pending: Pending, now: float) -> Scaler:
        """Give an action up, and wait a little longer each time before the next."""
        failures = scaler.failures + 1
        wait = min(self._spec.interval * 2**failures, _LONGEST_WAIT)
        for key in pending.gone:
            member = self._members.get(key)
            if member and member.status == "draining":
                self._members[key] = member.with_(status="booting", since=now)
        self._tell(f"it is tried again in {span(wait)}")
        scaler = scaler.with_(wait=now + wait, failures=failures)
        return self._finish(scaler, pending, now, failed=True)

    def _finish(self, scaler: Scaler, pending: Pending, now: float, *, failed: bool = False) -> Scaler:
        """End the action in flight, and write down how it ended."""
        wrong = [text for text in pending.said if text not in ("up", "down")]
        told = f"{'failed' if failed else 'done'} after {span(now - pending.begun)}"
        outcome = f"{told}{': ' if wrong else ''}{'; '.join(wrong)}"
        if pending.decision:
            store.ended(self.ctx, pending.decision, outcome)
        size = sum(member.status in roster.UP for member in self._members.values())
        group = groups.described(self.ctx, self.group)
        if group is None or group.desired != size:
            groups.change(self.ctx, self.group, lambda each: each.with_(desired=size), f"size {size}")
        return scaler.with_(pending=None)
