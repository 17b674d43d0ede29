"""The loop of one group: observe, decide, act, record.

    look ──▶ how members are ──▶ what was measured ──▶ decide ──▶ one action in flight ──▶ written down

Looking at clouds and sources, and what is done to members, run beside the loop: neither waits for the other, and a pass
takes milliseconds. All that the loop knows is in the catalog after each pass, and only one process has the turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from cloudms.clock import SystemClock
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.engine.reserve import new_token
from cloudms.errors import CloudmsError, Conflict, Interrupted, NotFound
from cloudms.model import Vm
from cloudms.record import Record
from cloudms.scaling import carrying, hooks, members, roster, store
from cloudms.scaling.acting import Acting
from cloudms.scaling.base import Decision, Observed, Sample
from cloudms.scaling.carrying import Grow
from cloudms.scaling.decide import decide
from cloudms.scaling.front import Front
from cloudms.scaling.keeping import like, pending_of
from cloudms.scaling.sources.base import Source, View, gathered, sources_of
from cloudms.scaling.store import Look, Member, Pending, Scaler
from cloudms.scaling.turn import Turn, holder
from cloudms.scaling.words import listed, span

QUICK = 0.05
"""Seconds between passes while something is on its way."""
_CALM = 0.5
_READ = 0.25
"""Seconds between two readings of the members' rows while something is on its way."""
_ASIDE = 2.0
"""Seconds between tries to get the turn that another process has."""
_PRUNE_EVERY = 100
_JUMP = 5.0
"""Seconds by which the time of day may differ from what has passed before it counts as a jump."""
_DOING = {
    "out": "members are being added", "in": "members are being taken out", "replace": "members are being replaced",
    "roll": "members are being renewed", "stock": "a standby is being made",
}  # fmt: skip


class Seen(Record):
    """One look: clouds that did not answer, what was measured, what went wrong, and whether the balancer had died."""

    at: float
    silent: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    problems: tuple[str, ...] = ()
    revived: str = ""


class Pass(Record):
    """What one pass did: whether this process had the turn, sentences about what happened, the decision if there was
    one, and the seconds until the next.
    """

    mine: bool = True
    news: tuple[str, ...] = ()
    decision: Decision | None = None
    pause: float = _CALM


class Controller(Acting):
    """Scales one group. Parameters: `grow`, how new members are booted."""

    def __init__(self, ctx: Context, group: str, grow: Grow) -> None:
        super().__init__(ctx, group, grow)
        self._turn = Turn(ctx, group)
        self._plain: Mapping[str, Any] | None = None
        self._sources: list[Source] = []
        self._samples: deque[Sample] = deque()
        self._silent: tuple[str, ...] = ()
        self._looking: Future[Seen] | None = None
        self._next = 0.0
        self._last_turn = self._last_read = float("-inf")
        self._passes = 0
        self._seen_clock: tuple[float, float] | None = None
        self._decision: Decision | None = None

    def step(self) -> Pass:
        """Make one pass. Raises: NotFound (the group has no policy any more), Invalid (its policy cannot be read)."""
        self._news, self._decision = [], None
        now = self.ctx.clock.now()
        if not self._have_turn():
            return Pass(mine=False, pause=_ASIDE)
        scaler = store.find(self.ctx, self.group)
        if self._scaler is None:
            self._begin(scaler)
        self._settings(scaler)
        scaler = self._steady(scaler, now)
        self._observe(scaler, now)
        scaler = self._advance(scaler, now)
        self._reach(now)
        seen = self._heard()
        if seen is not None:
            scaler = self._judge(scaler, seen, now)
        self._save(scaler, now if seen is not None else None)
        return Pass(news=tuple(self._news), decision=self._decision, pause=self._pause(scaler))

    def passes(self) -> Iterator[Pass]:
        """Make passes until the context is stopped; what may pass by itself is told and tried again."""
        failed = 0
        while not self.ctx.stopping.is_set():
            try:
                made = self.step()
                failed = 0
            except (Interrupted, NotFound):
                raise
            except Conflict as error:  # another process has it now
                self._scaler = None
                made = Pass(mine=False, news=(error.message,), pause=_ASIDE)
            except CloudmsError as error:
                failed += 1
                made = Pass(news=(f"{error.message}; trying again",), pause=min(2.0**failed, 60.0))
            except Exception as error:  # noqa: BLE001 (a bug in one pass must not end the service of a group)
                failed += 1
                self._scaler = None
                text = f"bug in cloudms: {type(error).__name__}: {error}; going on from what is written down"
                made = Pass(news=(text,), pause=min(2.0**failed, 60.0))
            yield made
            if isinstance(self.ctx.clock, SystemClock):
                self.ctx.stopping.wait(made.pause)
            else:
                self.ctx.clock.sleep(made.pause)

    def close(self) -> None:
        """End in order: what was begun ends its current call, and the turn is left to the next."""
        self._work.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._turn.held:
            with suppress(CloudmsError):
                store.change(self.ctx, self.group, lambda now: now.with_(asleep=True), mine=self._turn.owner)
        self._turn.release()

    @property
    def members(self) -> list[Member]:
        """Return the members as they were in the last pass."""
        return list(self._members.values())

    @property
    def front(self) -> Front | None:
        """Return what stands before the members, once the first pass was made."""
        return self._front

    @property
    def holder(self) -> str:
        """Return the process that has the turn."""
        return holder(self.ctx, self.group)

    def _have_turn(self) -> bool:
        """Take or renew the turn, at most every second."""
        now = self.ctx.clock.monotonic()
        if not self._turn.held or now - self._last_turn >= 1.0:
            had = self._turn.held
            self._last_turn = now
            if not self._turn.take() or not had:
                self._scaler = None
        return self._turn.held

    def _begin(self, scaler: Scaler) -> None:
        """Go on where the last controller was."""
        self._members = scaler.roster()
        self._looking = self._job = None
        self._asked, self._hooking = {}, {}
        self._vms = self._known()
        gone = carrying.forget_unbegun(self.ctx, list(self._vms.values()))
        if gone:
            self._vms = self._known()
            self._tell(f"forgot {listed(gone)}, which a process that died had only written down")
        now = self.ctx.clock.now()
        window = scaler.settings().window
        self._samples = deque(
            sample for look in store.looks(self.ctx, self.group, now - window) for sample in look.samples
        )
        self._next = self.ctx.clock.monotonic()
        self._scaler = scaler
        self._plain = None

    def _steady(self, scaler: Scaler, now: float) -> Scaler:
        """Move the times that are remembered along when the clock has jumped, so that no wait ends or begins by it."""
        moment = self.ctx.clock.monotonic()
        before, self._seen_clock = self._seen_clock, (now, moment)
        jump = now - before[0] - (moment - before[1]) if before else 0.0
        if abs(jump) < _JUMP:
            return scaler
        self._tell(f"the clock went {'ahead' if jump > 0 else 'back'} by {span(abs(jump))}")
        self._members = {key: each.moved(jump) for key, each in self._members.items()}
        pending = pending_of(scaler)
        return scaler.with_(
            wait=None if scaler.wait is None else scaler.wait + jump,
            seen=None if scaler.seen is None else scaler.seen + jump,
            pending=pending.with_(begun=pending.begun + jump).to_document() if pending else None,
        )

    def _settings(self, scaler: Scaler) -> None:
        """Take over the policy where it has changed. Raises: Invalid."""
        if scaler.spec == self._plain:
            return
        self._spec = scaler.settings()
        self._sources = sources_of(self._spec)
        self._hooks = hooks.hooks_of(self._spec)
        self._front = Front(self.ctx, self.group, self._spec)
        self._front.up()
        self._plain = scaler.spec
        for member in self._members.values():
            vm = self._vms.get(member.key)
            if member.status in roster.SERVING and vm is not None:
                self._front.admit(vm)

    def _observe(self, scaler: Scaler, now: float) -> None:
        """Begin a look when it is time, and bring the members up to date with what is known now."""
        if self._looking is None and self.ctx.clock.monotonic() >= self._next:
            self._next = self.ctx.clock.monotonic() + self._spec.interval
            self._looking = self._spawn(self._look)
        moment = self.ctx.clock.monotonic()
        if self._moving(scaler) and moment - self._last_read >= _READ:
            self._vms, self._last_read = self._known(), moment
        self._update(scaler, now)

    def _look(self) -> Seen:
        """Ask the clouds of the members how they are, and the sources what they measure."""
        now = self.ctx.clock.now()
        clouds = {vm.cloud for vm in self._vms.values()} or set(groups.find(self.ctx, self.group, []).cloud.split(","))
        known = groups.all_vms(self._work, fresh=True, clouds=sorted(clouds - {""}) or ())
        vms = self._known()
        serving = [
            vm for key, vm in vms.items() if self._status(key) in roster.SERVING and vm.cloud not in known.silent
        ]
        balancer = self._front.balancer if self._front else None
        revived = self._front.revived() if self._front else ""
        samples, problems = gathered(self._sources, View(self._work, self.group, serving, balancer))
        problems += [f"cloud '{cloud}' does not answer" for cloud in known.silent]
        problems += [revived] if revived else []
        return Seen(
            at=now, silent=tuple(known.silent), samples=tuple(samples), problems=tuple(problems), revived=revived
        )

    def _heard(self) -> Seen | None:
        """Return the look that has just ended. Raises: what looking raises."""
        if self._looking is None or not self._looking.done():
            return None
        done, self._looking = self._looking, None
        return done.result()

    def _judge(self, scaler: Scaler, seen: Seen, now: float) -> Scaler:
        """Record a look, and decide where nothing is in flight."""
        self._vms, self._silent = self._known(), seen.silent
        if seen.revived:
            self._tell(seen.revived)
        self._update(scaler, now)
        self._samples.extend(seen.samples)
        while self._samples and self._samples[0].time < now - self._spec.window - 2 * self._spec.interval:
            self._samples.popleft()
        store.put_look(
            self.ctx, self.group,
            Look(at=seen.at, samples=seen.samples, statuses=store.counted(self.members), problems=seen.problems),
        )  # fmt: skip
        self._passes += 1
        if self._passes % _PRUNE_EVERY == 0:
            store.prune(self.ctx, self.group, self._spec.window)
        if scaler.pending is None:
            other = self._roll(scaler, now) or self._stock(scaler, now)
            if other is not None:
                return other
        return self._decide(scaler, seen, now)

    def _decide(self, scaler: Scaler, seen: Seen, now: float) -> Scaler:
        counted = [each for each in self._members.values() if each.status != "off"]
        silent = {key for key, vm in self._vms.items() if vm.cloud in self._silent}
        states = tuple(each.state()._replace(protected=each.protected or each.key in silent) for each in counted)
        observed = Observed(now=now, members=states, samples=tuple(self._samples))
        pending = pending_of(scaler)
        busy = f"{_DOING[pending.kind]} for {span(now - pending.begun)}" if pending else ""
        decision, loop = decide(self._spec, observed, scaler.loop, group=self.group, busy=busy)
        decision = decision.with_(problems=(*decision.problems, *seen.problems))
        waits = scaler.wait is not None and now < scaler.wait and decision.action in ("out", "replace")
        if waits:
            left = span((scaler.wait or now) - now)
            decision = decision.with_(outcome=f"not begun: the last try failed, the next is in {left}")
            loop = scaler.loop
        store.put_decision(self.ctx, decision)
        self._decision = decision
        scaler = scaler.with_(state=loop.to_document())
        if decision.action == "hold" or waits:
            return scaler
        return self._act(scaler, decision, now)

    def _act(self, scaler: Scaler, decision: Decision, now: float) -> Scaler:
        """Make what was decided the action in flight."""
        by_name = {member.name: member for member in self._members.values()}
        named = decision.members if decision.action != "out" else ()
        gone = tuple(by_name[name].key for name in named if name in by_name)
        more = len(gone) if decision.action == "replace" else decision.clamped - decision.size
        wake: list[Vm] = []
        if decision.action in ("out", "replace"):
            ready = members.standbys(self._members.values(), self._vms, now)
            wake = [vm for vm in ready if vm.cloud not in self._silent][: max(more, 0)]
        pending = Pending(
            token=new_token(self.ctx),
            kind=decision.action,
            phase="down" if decision.action == "in" else "up",
            wake=tuple(vm.key for vm in wake),
            boot=max(more, 0) - len(wake) if decision.action != "in" else 0,
            gone=gone,
            begun=now,
            decision=store.decision_key(decision),
        )
        for vm in wake:
            self._members[vm.key] = self._members[vm.key].with_(begun=now)
        if decision.action == "replace":
            for key in gone:
                self._out_of_front(self._members[key].name)
        self._tell(decision.reason)
        scaler = scaler.with_(pending=pending.to_document())
        self._save(scaler, now)
        return self._advance(store.find(self.ctx, self.group), now)

    def _roll(self, scaler: Scaler, now: float) -> Scaler | None:
        """Replace the next members that are not like what `group roll` asked for, or return None when none is left."""
        if scaler.roll is None or (scaler.wait is not None and now < scaler.wait):
            return None
        old = [vm for vm in self._vms.values() if members.outdated(self.group, vm, scaler.roll)]
        asleep = [vm for vm in old if self._status(vm.key) == "standby"]
        awake = [vm for vm in old if self._status(vm.key) not in ("off", "draining", "standby")]
        batch = int(scaler.roll.get("batch", 1))
        chosen = (awake or asleep)[:batch]
        if not chosen:
            self._tell(f"all members have {like(scaler.roll)}")
            store.change(self.ctx, self.group, lambda now: now.with_(roll=None), mine=self._turn.owner)
            return None
        proved = not awake and self._proved(scaler.roll)
        pending = Pending(
            token=new_token(self.ctx), kind="roll", phase="down" if proved else "up", begun=now,
            boot=0 if proved else len(chosen), gone=tuple(vm.key for vm in chosen),
        )  # fmt: skip
        self._tell(f"{listed([vm.name for vm in chosen])} goes for one with {like(scaler.roll)}")
        scaler = scaler.with_(pending=pending.to_document())
        self._save(scaler, now)
        return store.find(self.ctx, self.group)

    def _proved(self, roll: Mapping[str, Any]) -> bool:
        """Whether a member with what `group roll` asked for serves or has served: those that sleep may go for it."""
        served = [vm for key, vm in self._vms.items() if self._status(key) in (*roster.SERVING, "standby")]
        return any(members.booted(self.group, vm) and not members.outdated(self.group, vm, roll) for vm in served)

    def _stock(self, scaler: Scaler, now: float) -> Scaler | None:
        """Boot one more member to be put to sleep when fewer than wanted are ready and there is room for it."""
        if scaler.wait is not None and now < scaler.wait:
            return None
        ready = len(members.standbys(self._members.values(), self._vms, now))
        size = sum(member.status in roster.UP for member in self._members.values())
        if ready >= self._spec.standby or not self._spec.min <= size or size + ready >= self._spec.max:
            return None
        if any(member.status not in ("in_service", "standby", "off") for member in self._members.values()):
            return None
        pending = Pending(token=new_token(self.ctx), kind="stock", boot=1, begun=now)
        self._tell(f"{ready} of {self._spec.standby} standbys are ready: one more is made")
        scaler = scaler.with_(pending=pending.to_document())
        self._save(scaler, now)
        return store.find(self.ctx, self.group)

    def _save(self, scaler: Scaler, looked: float | None) -> None:
        """Write down what is known. Raises: Conflict (another process has taken over)."""
        found = {key: member.to_document() for key, member in self._members.items()}
        mine = {
            "state": scaler.state, "members": found, "pending": scaler.pending, "wait": scaler.wait,
            "failures": scaler.failures,
        }  # fmt: skip

        def to(now: Scaler) -> Scaler:
            return now.with_(**mine, seen=looked if looked is not None else now.seen)

        self._scaler = store.change(self.ctx, self.group, to, mine=self._turn.owner)

    def _moving(self, scaler: Scaler) -> bool:
        """Whether something is on its way that a pass should not miss."""
        return scaler.pending is not None or any(self._coming(each) for each in self._members.values())

    def _pause(self, scaler: Scaler) -> float:
        if self._inline:
            return self._spec.interval if scaler.pending is None else min(self._spec.interval, 1.0)
        if self._moving(scaler) or self._looking is not None:
            return QUICK
        return max(min(self._next - self.ctx.clock.monotonic(), _CALM), QUICK)
