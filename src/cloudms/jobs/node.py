"""A node as an experiment talks to it: one command that is answered whole, and what the answer says."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from cloudms.context import Context
from cloudms.errors import NoCapacity, NotReady
from cloudms.fanout.action import Command
from cloudms.fanout.host import Host, hosts_of
from cloudms.fanout.one import Outlet
from cloudms.fanout.pool import Pool
from cloudms.fanout.record import HostRecord
from cloudms.jobs.task import Ending
from cloudms.model import Experiment, Vm
from cloudms.record import Record

_PATIENCE = 60.0
"""Seconds in which a node has to answer what costs it no time."""
_TRANSFER = 3600.0
"""Seconds in which files have to go to a node or come back."""
_LONGEST = 8 << 20
"""Bytes of an answer: that of a hundred thousand tasks."""
_ABSENT = "no-agent-here"


class Answer(Record):
    """What a node tells: its boot, its clock, how its set-up is, and every task that it has, by NUMBER.ATTEMPT.

    `setup` is none, running, done or failed, with `setup_exit`; `fresh` whether it does not know the experiment yet;
    `running` has the time when each began; `withdrawn` are those that were given back; `trouble` keeps it from work.
    """

    boot: str
    now: float = 0.0
    setup: str = "none"
    setup_exit: int | None = None
    fresh: bool = False
    queued: tuple[str, ...] = ()
    running: Mapping[str, float] = {}
    ended: Mapping[str, Ending] = {}
    withdrawn: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def known(self) -> set[str]:
        """Return every task it has."""
        return {*self.queued, *self.running, *self.ended, *self.withdrawn}


def parse(text: str) -> Answer | None:
    """Return what an answer says, or None when it did not come whole."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or lines[-1] != ["ok"]:
        return None
    told: dict[str, list[list[str]]] = {}
    for word, *rest in lines:
        told.setdefault(word, []).append(rest)
    try:
        return _answer(told)
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _answer(told: Mapping[str, list[list[str]]]) -> Answer:
    """Return the answer of its lines by their first words. Raises: KeyError, IndexError, ValueError."""
    _version, boot, now = told["cms"][0]
    _digest, setup, *code = told.get("setup", [["", "none"]])[0]
    return Answer(
        boot=boot,
        now=float(now),
        setup=setup,
        setup_exit=_number(code[0]) if code else None,
        fresh="none" in told,
        queued=tuple(name for names in told.get("queued", ()) for name in names),
        running={name: float(since) for name, since in told.get("running", ())},
        ended={name: parse_ending(*facts) for name, *facts in told.get("ended", ())},
        withdrawn=tuple(name for (name,) in told.get("withdrawn", ())),
        trouble=" ".join(told.get("trouble", [[]])[0]),
    )


def parse_ending(code: str, began: str, hundredths: str, cause: str) -> Ending:
    """Return how an attempt ended, from the words that `agent.sh` wrote. Raises: ValueError."""
    started = float(began)
    exit_code = _number(code)
    return Ending(
        exit=exit_code,
        signal=_signal(exit_code),
        started=started,
        ended=started + int(hundredths) / 100,
        cause="" if cause == "-" else cause,
    )


def _number(word: str) -> int | None:
    return int(word) if word.isdecimal() else None


def _signal(code: int | None) -> str:
    """Return the name of the signal that an exit code of the shell stands for, without SIG."""
    import signal

    try:
        return signal.Signals((code or 0) - 128).name.removeprefix("SIG") if code and code > 128 else ""
    except ValueError:
        return ""


class Remote(Protocol):
    """One node of one experiment, however it is reached."""

    def ask(self, *words: str, sent: bytes | Path = b"") -> Answer:
        """Do what `agent.sh` lists and return how it is then. Raises: NotReady, NoCapacity (its disk is full)."""

    def text(self, *words: str) -> str:
        """Return what `agent.sh` prints for words that are not answered by how it is. Raises: NotReady."""

    def tail(self, name: str, file: str, place: int) -> tuple[str, int]:
        """Return what a task has printed from byte `place` on, and how many bytes that is. Raises: NotReady."""

    def fetch(self, name: str, folder: Path) -> str:
        """Bring what is to be got of a task that has ended to `folder`, or return why that cannot be done.

        Raises: NotReady, NoCapacity (the disk of this machine).
        """


RemoteOf = Callable[[Context, Experiment, Vm], Remote]


@cache
def agent() -> tuple[bytes, str]:
    """Return the script of the node and its digest, which names it there."""
    text = files("cloudms.jobs").joinpath("agent.sh").read_bytes()
    return text, hashlib.sha256(text).hexdigest()[:16]


def over_ssh(ctx: Context, experiment: Experiment, vm: Vm) -> Remote:
    """Return a node that is reached by the pool of the context."""
    return SshNode(ctx.pool(), hosts_of(ctx, [vm])[0], experiment.id)


class SshNode:
    """A node over the pool; the script is put there when it is missing."""

    def __init__(self, pool: Pool, host: Host, experiment: str) -> None:
        self._pool = pool
        self._host = host
        self._id = experiment

    def ask(self, *words: str, sent: bytes | Path = b"") -> Answer:
        """Do what `agent.sh` lists and return how it is then. Raises: NotReady, NoCapacity."""
        text = self._run(words, sent).stdout
        answer = parse(text)
        if answer is not None:
            return answer
        trouble = next((line for line in text.splitlines() if line.startswith("trouble ")), "")
        if trouble:
            raise NoCapacity(f"{self._host.name}: {trouble.removeprefix('trouble ')}")
        raise NotReady(f"{self._host.name} answered '{text[-200:].strip()}'")

    def text(self, *words: str) -> str:
        """Return what `agent.sh` prints. Raises: NotReady."""
        return self._run(words, b"").stdout

    def tail(self, name: str, file: str, place: int) -> tuple[str, int]:
        """Return what a task has printed from byte `place` on, and how many bytes that is. Raises: NotReady."""
        record = self._run(("tail", name, file, str(place + 1)), b"")
        return record.stdout, record.stdout_bytes

    def fetch(self, name: str, folder: Path) -> str:
        """Bring what is to be got of a task that has ended to `folder`. Raises: NotReady, NoCapacity."""
        remote = f"~/.cms/experiments/{self._id}/tasks/{name}/out"
        record = self._pool.get(self._host, remote, folder, timeout=_TRANSFER)
        if record.ok:
            return ""
        if record.error.get("code") == NoCapacity.code:
            raise NoCapacity(str(record.error["message"]), hint="free some space on this machine, then watch again")
        if record.state == "failed":
            return f"its outputs could not be got: {_why(record)}"
        raise NotReady(_why(record))

    def _run(self, words: Sequence[str], sent: bytes | Path) -> HostRecord:
        """Call the script, with what is sent on its stdin; a file goes there first, so that it need not fit memory."""
        line = shlex.join([self._id, *words])
        after = ""
        if isinstance(sent, Path):
            place = f".cms/sent-{self._id}-{words[0]}"
            record = self._pool.put(self._host, sent, f"~/{place}", mode=0o600, timeout=_TRANSFER)
            _check(record)
            line, after = f'{line} <"$HOME/{place}"', f'; rm -f "$HOME/{place}"'
            sent = b""
        _, digest = agent()
        script = f'"$HOME/.cms/agent-{digest}.sh"'
        command = f"[ -e {script} ] || {{ echo {_ABSENT}; exit 0; }}; sh {script} {line}{after}"
        record = self._do(command, sent)
        if record.stdout.strip() == _ABSENT:
            self._install()
            record = self._do(command, sent)
        return record

    def _install(self) -> None:
        text, digest = agent()
        _check(self._pool.put(self._host, text, f"~/.cms/agent-{digest}.sh", mode=0o700, timeout=_PATIENCE))

    def _do(self, command: str, sent: bytes) -> HostRecord:
        action = Command(command=command, input=sent)
        record = next(
            self._pool.each([self._host], action, timeout=_PATIENCE, outlet=lambda _host: Outlet(tail=_LONGEST))
        )
        if record.state not in ("done", "failed"):
            raise NotReady(_why(record))
        return record


def _check(record: HostRecord) -> None:
    """Refuse what did not go to the node. Raises: NotReady, NoCapacity."""
    if record.ok:
        return
    if record.error.get("code") == NoCapacity.code:
        raise NoCapacity(f"{record.name}: {_why(record)}")
    raise NotReady(_why(record))


def _why(record: HostRecord) -> str:
    told = str(record.error.get("message") or record.stderr.strip().splitlines()[-1:] or "")
    return told or f"{record.name}: {record.state}"
