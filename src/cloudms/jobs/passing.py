"""One pass over an experiment: nodes are found, tasks given, what has ended taken, and in the end nodes given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from cloudms.context import Context
from cloudms.errors import CloudmsError, Interrupted, NoCapacity, NotReady
from cloudms.jobs import nodes as places
from cloudms.jobs import replacing, sharing, store
from cloudms.jobs import task as change
from cloudms.jobs.base import Progress
from cloudms.jobs.exchange import Exchange, Heard, attempt_name
from cloudms.jobs.spec import Boot, Spec
from cloudms.jobs.task import OPEN, PLACED
from cloudms.model import Experiment, Node, Task, Vm

if TYPE_CHECKING:
    from cloudms.jobs.ssh_engine import SshEngine

_PATIENCE = 120.0
"""Seconds that a node may not answer before its tasks go elsewhere, when its cloud says that it runs."""
_BOOT_PATIENCE = 600.0
"""Seconds that a node may take to let us in at first."""
_AGAIN = 30.0
"""Seconds between tries of a node that was given up for not answering."""
_SEEN = 15.0
"""Seconds after which it is written down again that a node answers."""
_HISTORY = 100
"""Tasks that the document of a node remembers."""


class Pass:
    """One pass over an experiment whose turn this process has."""

    def __init__(self, engine: SshEngine, ctx: Context, experiment: Experiment) -> None:
        self.engine = engine
        self.ctx = ctx
        self.experiment = experiment
        self.spec = Spec.from_document(experiment.spec)
        self.now = ctx.clock.now()
        self.tasks = store.tasks(ctx, experiment.name)
        self.nodes: dict[str, Node] = {}
        self.changed: dict[str, Task] = {}
        self.notes: list[str] = []
        self.vms: dict[str, Vm] = {}
        self.members: set[str] = set()
        self.unfinished: set[str] = set()
        self.expected = 0
        self.coming = 0
        """How many nodes are still to come, as far as that is known."""
        self.reason = ""

    def make(self) -> Progress:
        """Make it."""
        self._gather_nodes()
        self._take_results(self.engine.heard())
        if self.experiment.cancel:
            self._cancel_waiting()
        else:
            self._give()
        self._take_results(self.engine.heard(self._talk()))
        self._give_up()
        return self._told()

    # nodes

    def _gather_nodes(self) -> None:
        """Find the nodes, have them booted when they are to be, and give up those that are gone."""
        known = self.nodes = {node.name: node for node in store.nodes(self.ctx, self.experiment.name)}
        vms = {} if self._over else {vm.name: vm for vm in self._vms()}
        for name, vm in vms.items():
            if name not in known:
                node = Node(
                    name=name, cloud=vm.cloud, region=vm.region, experiment=self.experiment.name, vm=vm.key,
                    booted=self.spec.boot is not None, since=self.now,
                )  # fmt: skip
                known[name] = store.put_node(self.ctx, node)
            elif known[name].vm != vm.key or self._from_before(known[name]):  # another VM may have the name now
                known[name] = self._node(known[name], vm=vm.key, cloud=vm.cloud, status="booting", reason="")
        self.vms = vms
        self.members = set(vms)
        for node in list(known.values()):
            if node.name not in vms and node.status not in ("lost", "released") and not self._over:
                self._let_go(node)

    def _let_go(self, node: Node) -> None:
        """See to a node that is none any more: one that has only left the group ends what it runs."""
        vm = places.there(self.ctx, node)
        busy = any(task.node == node.name and task.status in PLACED for task in self.tasks)
        if vm is None:
            self._lose(node, places.fate(self.ctx, node) or f"{node.name} is off")
        elif busy:
            self.vms[node.name] = vm
        else:
            self._node(node, status="released", reason="it has left the group", currentJob=(), queued=0)

    def _from_before(self, node: Node) -> bool:
        """Whether a node was done with before the experiment was run again."""
        return node.status in ("released", "bad", "lost") and (node.since or 0.0) < (self.experiment.started or 0.0)

    @property
    def _over(self) -> bool:
        return not any(task.status in OPEN for task in self.tasks)

    def _vms(self) -> list[Vm]:
        if self.spec.boot is None:
            found = places.vms_of(self.ctx, self.experiment, self.spec)
            self.expected = len(found)
            return found
        found = self._booted(self.spec.boot)
        problem = places.renew_short(self.ctx, found, self.now)
        self.notes += [problem] * bool(problem)
        return found

    def _booted(self, wish: Boot) -> list[Vm]:
        """Have nodes booted, as many as are wanted, and return those that are there."""
        ended = None
        if not self.experiment.cancel:
            try:
                ended = self.engine.boot(self.ctx, self.experiment, wish)
            except Interrupted:
                raise
            except CloudmsError as error:
                if error.retryable and not self.nodes:
                    raise
                self.reason = error.message
        found = places.vms_of(self.ctx, self.experiment, self.spec)
        problems = [str(step.error["message"]) for step in ended.steps if step.error] if ended else []
        self.reason = self.reason or "; ".join(dict.fromkeys(problems))
        over = ended or self.reason or self.experiment.cancel
        self.expected = len(found) if over else max(wish.size, len(found))
        if ended:
            self._replace(wish, found)
        if not over:
            self.coming = 1
            ready = places.ready(self.ctx, self.experiment)
            self.unfinished = {vm.name for vm in found if vm.key not in ready}
        return found

    def _replace(self, wish: Boot, found: Sequence[Vm]) -> None:
        """Have nodes booted in place of those that were lost or did not come, as long as tasks wait for one."""
        there = sum(vm.keep_stopped or not self._is_lost(vm) for vm in found)
        unbegun = sum(task.status in ("waiting", "starting") for task in self.tasks)
        boots = places.boots(self.ctx, self.experiment)
        need = replacing.need(wish.size, there, unbegun, boots, self.engine.refused)
        self.coming = need.count
        if need.count:
            self.expected = there + need.count
            if self.now >= need.due:
                self.engine.replace(self.ctx, self.experiment, wish, need.count)
            self._say(*replacing.told(wish.size, boots, need, self.now))

    def _is_lost(self, vm: Vm) -> bool:
        node = self.nodes.get(vm.name)
        return node is not None and node.vm == vm.key and node.status == "lost" and not self._from_before(node)

    def _say(self, text: str, replaced: int) -> None:
        """Write down how it stands with the nodes, once, and tell it."""
        if self.experiment.reason != text:
            self.notes.append(text)
            self.experiment = store.change(
                self.ctx, self.experiment, lambda now: now.with_(reason=text, replaced=replaced),
                action="experiment.nodes", text=text,
            )  # fmt: skip

    def _node(self, node: Node, **changes: object) -> Node:
        """Store changes of a node; a new status has a time."""

        def to(now: Node) -> Node:
            if "status" in changes and changes["status"] != now.status:
                return now.with_(**changes, since=self.now)
            return now.with_(**changes)

        after = store.change(self.ctx, node, to)
        self.nodes[node.name] = after
        return after

    def _lose(self, node: Node, reason: str) -> None:
        """Give a node up: its tasks go elsewhere."""
        self._node(node, status="lost", reason=reason, currentJob=(), queued=0)
        mine = [task for task in self.tasks if task.node == node.name and task.status in PLACED]
        for task in mine:
            self._change(task, lambda now: change.lost(now, reason, self.now, self.spec.moves))
        gone = f"; {len(mine)} of its tasks go elsewhere" if mine else ""
        self.notes.append(f"{reason}{gone}")

    # tasks

    def _change(self, task: Task, to: change.Change) -> None:
        """Store what becomes of a task, unless it has gone on meanwhile."""
        after = store.change(
            self.ctx, task, lambda now: to(now) if (now.attempt, now.status) == (task.attempt, task.status) else now
        )
        self._note_task(after)

    def _note_task(self, task: Task) -> None:
        self.changed[task.name] = task
        self.tasks[task.number - 1] = task

    def _cancel_waiting(self) -> None:
        for task in self.tasks:
            if task.status == "waiting":
                self._change(task, lambda now: change.cancelled(now, self.now))

    def _give(self) -> None:
        """Share out the tasks that wait."""
        waiting = [task for task in self.tasks if task.status == "waiting"]
        for task, place in sharing.given(waiting, self._places(), self.expected):
            self._change(task, partial(change.given, node=place.node, cloud=place.cloud, now=self.now))

    def _places(self) -> list[sharing.Place]:
        load = Counter(task.node for task in self.tasks if task.status in PLACED)
        return [
            sharing.Place(node=node.name, cloud=node.cloud, slots=self.spec.slots, load=load[node.name])
            for node in self.nodes.values()
            if node.status == "ready" and node.name in self.members
        ]

    def _back(self) -> Mapping[str, list[str]]:
        """Return what nodes are to give back to others that have nothing to do."""
        if self.experiment.cancel or any(task.status == "waiting" for task in self.tasks):
            return {}
        queued: dict[str, list[str]] = {}
        for task in self.tasks:
            if task.status == "starting":
                queued.setdefault(task.node, []).append(attempt_name(task))
        return sharing.taken_back(self._places(), queued)

    # exchanges

    def _talk(self) -> list[str]:
        """Begin an exchange with every node that there is a reason to talk to; return those to wait for."""
        begun = []
        back = self._back()
        mine: dict[str, list[Task]] = {}
        for task in self.tasks:
            if task.status in PLACED:
                mine.setdefault(task.node, []).append(task)
        for node in self.nodes.values():
            vm = self.vms.get(node.name)
            if vm is None or self.engine.is_talking(node.name) or not self._worth(node, mine):
                continue
            remote = self.engine.remote(self.ctx, self.experiment, vm)
            exchange = Exchange(self.ctx, self.experiment, node, remote, self.engine.digest(self.spec))
            own, give = mine.get(node.name, []), back.get(node.name, [])
            if node.name not in self.members:
                give = [attempt_name(task) for task in own if task.status == "starting"]
            self.engine.talk(node.name, partial(exchange.make, own, give))
            if node.status not in ("unreachable", "lost"):
                begun.append(node.name)
        return begun

    def _worth(self, node: Node, mine: Mapping[str, list[Task]]) -> bool:
        """Whether there is anything to say to a node or to hear from it now."""
        if node.status == "released" or (self.experiment.cancel and node.name not in mine):
            return False
        if node.name in self.unfinished:  # whoever boots it tries to get in; more tries would only make it slower
            return False
        if node.status in ("lost", "bad"):
            return node.name in mine or (node.status == "lost" and self.now - (node.seen or node.since or 0) > _AGAIN)
        return True

    def _take_results(self, talks: Mapping[str, Future[Heard]]) -> None:
        for name, talk in talks.items():
            node = self.nodes.get(name)
            if node is None:
                continue
            try:
                heard = talk.result()
            except NotReady as error:
                self._unreached(node, error)
            except NoCapacity as error:
                if not error.message.startswith(f"{name}:"):
                    raise
                self._bad(node, error.message)
            else:
                self.engine.silence(self.ctx, name, over=True)
                self._heard(node, heard)

    def _unreached(self, node: Node, error: NotReady) -> None:
        """See to a node that does not answer: ask its cloud, and give it up when that is too long."""
        if node.status == "lost":
            self._node(node, seen=self.now)  # the time of the last try
            return
        gone = places.fate(self.ctx, node)
        waited = self.engine.silence(self.ctx, node.name)
        booting = node.status == "booting"
        if gone:
            self._lose(node, gone)
        elif gone == "" and waited > (_BOOT_PATIENCE if booting else _PATIENCE):
            what = "has let nobody in" if booting else "has not answered"
            self._lose(node, f"{node.name} {what} for {waited:.0f} s: {error.message}")
        elif not booting and node.status != "unreachable":
            self._node(node, status="unreachable", reason=error.message)
            self.notes.append(f"{node.name} does not answer: {error.message}")

    def _bad(self, node: Node, reason: str) -> None:
        """Give no more tasks to a node; what it has not begun goes elsewhere."""
        if node.status != "bad":
            self.notes.append(f"{node.name} gets no tasks: {reason}")
        self._node(node, status="bad", reason=reason)
        for task in self.tasks:
            if task.node == node.name and task.status == "starting":
                self._change(task, lambda now: change.returned(now, reason))

    def _heard(self, node: Node, heard: Heard) -> None:
        for task in heard.changed:
            self._note_task(task)
            if task.reason and task.status in ("waiting", "failed"):
                again = ", is tried again" if task.status == "waiting" else ""
                self.notes.append(f"{task.name} on {node.name}: {task.reason}{again}")
        if heard.status == "bad":
            self._bad(node, heard.reason)
            return
        running, queued = tuple(sorted(heard.answer.running)), len(heard.answer.queued)
        status, reason = heard.status, heard.reason
        facts = {"status": status, "reason": reason, "currentJob": running, "queued": queued}
        ended = [change.recorded(task) for task in heard.changed if task.status not in PLACED]
        if ended:
            facts["history"] = (*node.history, *ended)[-_HISTORY:]
        stale = self.now - (node.seen or 0.0) > _SEEN
        if stale or any(getattr(node, name) != value for name, value in facts.items()):
            self._node(node, **facts, seen=self.now)

    # the end

    def _give_up(self) -> None:
        """Fail what waits when no node is left that could ever take it."""
        usable = [node for node in self.nodes.values() if node.status not in ("bad", "lost", "released")]
        if usable or self.coming or self.expected > len(self.vms) or self.engine.talking or self.experiment.cancel:
            return
        reasons = {node.reason for node in self.nodes.values() if node.reason} or {self.reason}
        why = "; ".join(sorted(each for each in reasons if each)[:3])
        for task in self.tasks:
            if task.status == "waiting":
                self._change(task, lambda now: change.given_up(now, f"no node is left{f': {why}' if why else ''}"))

    def _told(self) -> Progress:
        counts = Counter(task.status for task in self.tasks)
        changes: dict[str, object] = {key: counts[key] for key in ("done", "failed", "cancelled")}
        if self._over and not self.engine.talking:
            changes |= self._ended(counts)
        experiment = self.experiment
        if any(getattr(experiment, key) != value for key, value in changes.items()):
            action = {"action": "experiment.end", "text": str(changes["status"])} if "status" in changes else {}
            experiment = store.change(self.ctx, experiment, lambda now: now.with_(**changes), **action)
        happened = bool(self.changed or self.notes)
        return Progress(
            experiment=experiment,
            tasks=dict(counts),
            nodes=dict(Counter(node.status for node in self.nodes.values())),
            changed=tuple(self.changed.values()),
            notes=tuple(self.notes),
            pause=self.engine.pause(self.ctx, happened),
        )

    def _ended(self, counts: Mapping[str, int]) -> dict[str, object]:
        """Give the nodes back and return how the experiment has ended; nothing while nodes are left to delete."""
        problem = self._release()
        if problem and not self.engine.last_try():
            self.notes.append(problem)
            return {}
        status = "cancelled" if counts["cancelled"] else "failed" if counts["failed"] else "done"
        if problem:
            self.ctx.warn(problem)
        return {"status": status, "ended": self.ctx.clock.now(), "reason": problem or self._why(status)}

    def _why(self, status: str) -> str:
        reasons = Counter(task.reason for task in self.tasks if task.status == "failed")
        return "; ".join(f"{text} ({count})" for text, count in reasons.most_common(3)) if status == "failed" else ""

    def _release(self) -> str:
        """Delete what was booted, clean what was not; return what is left, as a sentence."""
        problem = ""
        if self.spec.boot is not None and not self.spec.boot.keep:
            self.engine.stop_booting()
            try:
                left = places.release(self.ctx, self.experiment)
            except CloudmsError as error:
                problem = f"its nodes could not be deleted: {error.message}; cms vm delete --label {self._label}"
            else:
                problem = f"{', '.join(left)} could not be deleted; cms vm delete --label {self._label}" if left else ""
        else:
            for vm in places.vms_of(self.ctx, self.experiment, self.spec):
                if vm.name in self.nodes and self.nodes[vm.name].status not in ("lost", "released"):
                    self.engine.clean(self.ctx, self.experiment, vm)
        for node in list(self.nodes.values()):
            if node.status not in ("lost", "bad"):
                self._node(node, status="released", currentJob=(), queued=0)
        return problem

    @property
    def _label(self) -> str:
        return f"experiment={self.experiment.name}"
