"""One exchange with a node: it is set up, gets its tasks, and tells how they are; what has ended is brought here, once.

Everything may be repeated: what was sent is not taken twice, what was got is stored by compare and set, and only then
forgotten on the node.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloudms import paths
from cloudms.config.secret import follow, is_reference
from cloudms.context import Context
from cloudms.errors import NotFound
from cloudms.jobs import setup, store
from cloudms.jobs import task as change
from cloudms.jobs.node import Answer, Remote
from cloudms.jobs.pack import Parcel
from cloudms.jobs.script import script, variables
from cloudms.jobs.spec import Spec
from cloudms.jobs.task import PLACED, Ending
from cloudms.jobs.values import collected
from cloudms.model import Experiment, Node, Task
from cloudms.record import Record

LIMIT = 16 << 20
"""Bytes that are kept of what a task prints, of stdout and stderr each."""
_MANY = 300
"""Tasks that one command names or sends."""


class Heard(Record):
    """What came of an exchange: the status of the node and why, its answer, the tasks that have changed."""

    status: str
    reason: str = ""
    answer: Answer
    changed: tuple[Task, ...] = ()


class Exchange:
    """Talks to one node of an experiment. Parameters: `digest` of its set-up, empty when there is none."""

    def __init__(self, ctx: Context, experiment: Experiment, node: Node, remote: Remote, digest: str) -> None:
        self._ctx = ctx
        self._experiment = experiment
        self._spec = Spec.from_document(experiment.spec)
        self._node = node
        self._remote = remote
        self._digest = digest
        self._changed: list[Task] = []

    def make(self, mine: Sequence[Task], back: Sequence[str]) -> Heard:
        """Do it all once.

        Parameters: `mine`, the tasks that the node should have; `back`, those it is to give back when it has not begun
        them. Raises: NotReady, NoCapacity, NotFound (a file that is to be sent), Denied (a secret).
        """
        known = {attempt_name(task): task for task in mine}
        cancelling = self._experiment.cancel
        answer = self._remote.ask("stop") if cancelling else self._asked("withdraw", back)
        status, reason = "ready", ""
        if not cancelling:
            answer, status, reason = self._set_up(answer)
        if status == "ready":
            answer = self._sent(answer, known)
        for name, since in answer.running.items():
            if name in known:
                self._begun(known[name], since)
        if cancelling or status == "ready":
            self._unknown(answer, known)
        answer = self._collected(answer, known)
        if answer.trouble:
            status, reason = "bad", answer.trouble
        return Heard(status=status, reason=reason, answer=answer, changed=tuple(self._changed))

    def _asked(self, word: str, names: Sequence[str]) -> Answer:
        """Ask for something about tasks, as many at once as fit a command; for none, just ask."""
        answer = self._remote.ask(word, *names[:_MANY]) if names else self._remote.ask("status")
        for begin in range(_MANY, len(names), _MANY):
            answer = self._remote.ask(word, *names[begin : begin + _MANY])
        return answer

    def _set_up(self, answer: Answer) -> tuple[Answer, str, str]:
        """Make the experiment known to the node and the node ready for it; return the status and why."""
        if answer.fresh:
            with self._parcel().packed() as sent:
                answer = self._remote.ask("put", sent=sent)
        if not self._digest:
            return answer, "ready", ""
        if answer.setup == "none" or (answer.setup == "failed" and self._node.status == "booting"):
            with setup.parcel(self._spec.setup).packed() as sent:
                answer = self._remote.ask("prepare", self._digest, sent=sent)
            answer = self._remote.ask("status") if answer.fresh else answer
        if answer.setup == "failed":
            lines = [line for line in self._remote.text("log", self._digest).splitlines() if line.strip()]
            last = [line for line in lines if not line.startswith("==>")][-1:]
            return answer, "bad", f"its set-up failed: {''.join(last)[:300] or f'exit code {answer.setup_exit}'}"
        return answer, "ready" if answer.setup == "done" else "preparing", ""

    def _parcel(self) -> Parcel:
        """Return what a node needs to know of the experiment."""
        spec = self._spec
        conf = {"timeout": int(-(-spec.timeout // 1)), "slots": spec.slots, "limit": LIMIT, "setup": self._digest}
        sent = Parcel(
            {
                "exp/script": script(spec),
                "exp/conf": "".join(f"{key} {value}\n" for key, value in conf.items() if value),
                "exp/outputs": "".join(f"{pattern}\n" for pattern in spec.outputs),
            }
        )
        for each in spec.inputs:
            sent.add(f"exp/inputs/{each.target}", Path(each.source))
        return sent

    def _sent(self, answer: Answer, known: Mapping[str, Task]) -> Answer:
        """Send the tasks that the node was given and does not have."""
        missing = [name for name, task in known.items() if task.status == "starting" and name not in answer.known]
        for begin in range(0, len(missing), _MANY):
            names = missing[begin : begin + _MANY]
            texts = {f"tasks/{name}/env": environment(self._spec, known[name]) for name in names}
            with Parcel(texts).packed() as sent:
                answer = self._remote.ask("put", sent=sent)
        return answer

    def _begun(self, task: Task, since: float) -> None:
        if task.status == "starting":
            self._change(task, lambda now: change.begun(now, since) if now.status == "starting" else now)

    def _unknown(self, answer: Answer, known: Mapping[str, Task]) -> None:
        """See to tasks that the node should have and does not: never begun, or lost with what was on its disk."""
        now, cancel, moves = self._ctx.clock.now(), self._experiment.cancel, self._spec.moves
        for name in known.keys() - answer.known:
            if cancel:
                self._change(known[name], lambda task: change.cancelled(task, now))
            elif known[name].status == "running":
                reason = f"{self._node.name} does not have it any more"
                self._change(known[name], lambda task, reason=reason: change.lost(task, reason, now, moves))  # type: ignore[misc]

    def _collected(self, answer: Answer, known: Mapping[str, Task]) -> Answer:
        """Bring here what has ended, take back what was given back, end what should not be there."""
        forget = []
        for name, ending in answer.ended.items():
            current = self._current(name)
            if name in known and current:
                self._ended(name, known[name], ending)
            if name in known or not current:
                forget.append(name)
        for name in answer.withdrawn:
            if name in known:
                self._change(known[name], self._back)
            forget.append(name)
        strays = [name for name in (*answer.queued, *answer.running) if name not in known and not self._current(name)]
        if strays:
            answer = self._asked("stop", strays)
            forget += [name for name in strays if name in {*answer.ended, *answer.withdrawn}]
        return self._asked("forget", forget) if forget else answer

    def _current(self, name: str) -> bool:
        """Whether another process has given this task to this node meanwhile."""
        number, _, attempt = name.partition(".")
        try:
            task = store.task(self._ctx, self._experiment.name, int(number))
        except NotFound:
            return False
        return task.node == self._node.name and str(task.attempt) == attempt and task.status in PLACED

    def _back(self, now: Task) -> Task:
        if self._experiment.cancel:
            return change.cancelled(now, self._ctx.clock.now())
        if now.status != "starting":
            return now
        return change.returned(now, f"{self._node.name} gave it back for another node")

    def _ended(self, name: str, task: Task, ending: Ending) -> None:
        """Bring the results of an attempt here, then store how it ended."""
        folder = store.folder_of(self._experiment.name, task.number)
        paths.private(folder.parent)
        problem = self._remote.fetch(name, folder) or _missing(folder)
        values = collected(self._spec.values, folder)
        ending = ending.with_(problem=problem)

        def to(now: Task) -> Task:
            after = change.ended(now, ending, self._spec.retries, self._spec.moves)
            return after.with_(values=values)

        note(folder, to(task))
        self._change(task, to)

    def _change(self, task: Task, to: change.Change) -> None:
        """Store what becomes of an attempt, unless the task has gone on without it."""

        def checked(now: Task) -> Task:
            return to(now) if now.attempt == task.attempt and now.status in PLACED else now

        after = store.change(self._ctx, task, checked)
        if after.status != task.status:
            self._changed.append(after)


def attempt_name(task: Task) -> str:
    """Return what an attempt is called on its node: NUMBER.ATTEMPT."""
    return f"{task.number:04d}.{task.attempt}"


def environment(spec: Spec, task: Task) -> str:
    """Return the variables of a task for `sh`, references to secrets followed. Raises: Denied, ConfigError."""
    found = variables(spec, task.name, task.number, task.params, task.repeat) | {"CMS_ATTEMPT": str(task.attempt)}
    secret = {name for name, value in spec.environment.items() if is_reference(value) and found[name] == value}
    own = {name: follow(value, os.environ) if name in secret else value for name, value in found.items()}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())


def note(folder: Path, task: Task) -> None:
    """Write the record of a task beside its results."""
    paths.private(folder)
    beside = folder / f".task.json.{os.getpid()}"
    beside.write_text(json.dumps(task.to_public(), indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / "task.json")


def _missing(folder: Path) -> str:
    """Return that an output is missing, or an empty string."""
    try:
        patterns = (folder / "missing").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return f"there is no output {', '.join(patterns)}" if patterns else ""
