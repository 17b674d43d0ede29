"""What a Slurm is asked and told: its own commands, here or over SSH, and their answers read.

The queue is read as `squeue --json`: Slurm 22.05 has plain words and numbers in it, newer ones lists of words and
{"set": true, "number": 3}; both are understood. Nodes are read as `scontrol` prints them: 22.05 has no JSON there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cloudms.cluster.daemons import find
from cloudms.errors import NotReady, Timeout, Unsupported
from cloudms.model import Cluster
from cloudms.record import Record

_LIMIT = 60.0
"""Seconds a command of Slurm has."""
ENDED = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
)  # fmt: skip
"""States of jobs that do not change any more, unless Slurm puts the job into its queue again."""

_FACT = re.compile(r"(\w+)=(.*?)(?= \w+=|$)")
"""`Key=value` of scontrol, whose values may hold spaces."""


class Job(Record):
    """A job, or one task of an array: `array` is the array's id (its own otherwise), `task` its number in it or -1.

    `state` is Slurm's word, `reason` why it waits, `restarts` how often it was begun again; times in epoch seconds.
    """

    id: int
    array: int = 0
    task: int = -1
    tasks: str = ""
    state: str = ""
    reason: str = ""
    node: str = ""
    name: str = ""
    exit: int | None = None
    signal: int = 0
    restarts: int = 0
    started: float | None = None
    ended: float | None = None


class SlurmNode(Record):
    """A node: `state` is Slurm's word in lower case (idle, allocated, down …), `flags` the rest of what it says."""

    name: str
    state: str = ""
    flags: tuple[str, ...] = ()
    address: str = ""
    reason: str = ""

    @property
    def word(self) -> str:
        """Return one word for people: off and on their way count more than idle."""
        for flag, word in (("POWERED_DOWN", "off"), ("POWERING_DOWN", "ending"), ("POWERING_UP", "booting")):
            if flag in self.flags:
                return word
        return self.state


class Control:
    """The commands of one Slurm."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def run(self, *words: str, given: bytes = b"", limit: float = _LIMIT) -> str:
        """Run a command of Slurm and return what it prints. Raises: NotReady (it fails), Timeout, Unsupported."""
        done = self.call(words, given=given, limit=limit)
        if done.returncode:
            said = _last(done.stderr.decode(errors="replace"))
            raise NotReady(
                f"{self.cluster.name}: {said or f'{words[0]} ended with {done.returncode}'}", hint=self._hint()
            )
        return done.stdout.decode(errors="replace")

    def call(
        self, words: Sequence[str], *, given: bytes = b"", limit: float = _LIMIT
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command of Slurm and return how it ended. Raises: Timeout, Unsupported (it is not installed)."""
        cluster, environment = self.cluster, {**os.environ, "LC_ALL": "C.UTF-8"}
        if cluster.ssh:
            argv = [*over(cluster), shlex.join(words)]
        else:
            argv = [find(words[0]) or words[0], *words[1:]]
            environment = {k: v for k, v in environment.items() if not k.startswith(("SLURM_", "SBATCH_", "SQUEUE_"))}
            environment["SLURM_CONF"] = cluster.config
        try:
            return subprocess.run(argv, env=environment, input=given, capture_output=True, timeout=limit, check=False)
        except FileNotFoundError:
            raise Unsupported(f"there is no {argv[0]} on this machine", hint="cms doctor") from None
        except subprocess.TimeoutExpired:
            raise Timeout(f"{cluster.name}: {words[0]} did not end within {limit:g} s", hint=self._hint()) from None

    def _hint(self) -> str:
        return f"cms cluster info {self.cluster.name}" if self.cluster.ssh else f"cms cluster start {self.cluster.name}"

    def jobs(self) -> list[Job]:
        """Return what the queue holds, and what has ended lately. Raises: NotReady, Timeout."""
        return jobs_of(self.run("squeue", *(["--me"] if self.cluster.ssh else []), "--json"))

    def nodes(self) -> list[SlurmNode]:
        """Return every node. Raises: NotReady, Timeout."""
        return nodes_of(self.run("scontrol", "--all", "show", "nodes", "--oneliner"))

    def update_node(self, name: str, **facts: str) -> None:
        """Change a node. Raises: NotReady, Timeout."""
        self.run("scontrol", "update", f"NodeName={name}", *(f"{key}={value}" for key, value in facts.items()))

    def failed(self, name: str, reason: str) -> None:
        """Say that a node did not boot: its jobs go back into the queue, and it is switched off, to be tried again.

        Raises: NotReady, Timeout.
        """
        plain = "".join(c if c.isprintable() and c not in "\"'" else " " for c in reason)[:200]
        self.update_node(name, State="DOWN", Reason=f"cms: {plain}")
        self.update_node(name, State="POWER_DOWN_FORCE")

    def hold(self, name: str, minutes: int) -> None:
        """Give a node no job for so long: a reservation of Slurm, which ends by itself. Raises: NotReady, Timeout."""
        self.let_go(name)
        self.run(
            "scontrol", "create", "reservation", f"ReservationName={_held(name)}", "StartTime=now",
            f"Duration={minutes}", f"Nodes={name}", "Users=root", "Flags=IGNORE_JOBS",
        )  # fmt: skip

    def let_go(self, name: str) -> None:
        """End what `hold` has begun; nothing is success. Raises: Timeout."""
        self.call(("scontrol", "delete", f"ReservationName={_held(name)}"))

    def back(self, names: Collection[str]) -> None:
        """Let nodes be used again that Slurm took for broken as they did not come up. Raises: NotReady, Timeout."""
        for node in self.nodes():
            if node.name in names and node.state == "down":
                self.update_node(node.name, State="RESUME")


def _held(name: str) -> str:
    return f"cms-{name}"


def over(cluster: Cluster) -> list[str]:
    """Return the `ssh` command line to a Slurm elsewhere, by the person's own settings; it asks nothing."""
    key = ["-o", "IdentitiesOnly=yes", "-i", cluster.ssh_key] if cluster.ssh_key else []
    return ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", *key, "--", cluster.ssh]


def jobs_of(text: str) -> list[Job]:
    """Read `squeue --json`. Raises: NotReady."""
    return [_job(row) for row in _rows(text, "jobs")]


def _job(row: dict[str, Any]) -> Job:
    number = _number(row.get("array_task_id"))
    status, signal = _exit(row.get("exit_code"))
    return Job(
        id=_number(row.get("job_id")) or 0,
        array=_number(row.get("array_job_id")) or _number(row.get("job_id")) or 0,
        task=-1 if number is None else number,
        tasks=str(row.get("array_task_string") or ""),
        state=_word(row.get("job_state")),
        reason=str(row.get("state_reason") or ""),
        node=str(row.get("batch_host") or row.get("nodes") or ""),
        name=str(row.get("name") or ""),
        exit=status,
        signal=signal,
        restarts=_number(row.get("restart_cnt")) or 0,
        started=_number(row.get("start_time")) or None,
        ended=_number(row.get("end_time")) or None,
    )


def nodes_of(text: str) -> list[SlurmNode]:
    """Read `scontrol --all show nodes --oneliner`, which has looked the same for ten years."""
    found = []
    for line in text.splitlines():
        facts = {key: value.strip() for key, value in _FACT.findall(line)}
        if "NodeName" in facts:
            state, *flags = facts.get("State", "").rstrip("*").split("+")
            found.append(
                SlurmNode(
                    name=facts["NodeName"],
                    state=state.lower(),
                    flags=tuple(flags),
                    address=facts.get("NodeAddr", ""),
                    reason=facts.get("Reason", ""),
                )
            )
    return found


def counted(words: Iterable[str]) -> dict[str, int]:
    """Return how often each word occurs, in the order of the words."""
    return dict(sorted(Counter(words).items()))


def width(tasks: str) -> int:
    """Return how many tasks of an array are still waiting, from Slurm's `7-9,12%4`."""
    total = 0
    for part in tasks.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            total += int(last) - int(first) + 1 if last.isdecimal() else 1
    return total


def _rows(text: str, key: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise NotReady(
            "Slurm's answer cannot be read", hint="Slurm 21.08 or newer is needed, with its JSON plugin"
        ) from None
    return [row for row in rows if isinstance(row, dict)]


def _number(told: Any) -> int | None:
    if isinstance(told, dict):
        return int(told["number"]) if told.get("set") and not told.get("infinite") else None
    return int(told) if isinstance(told, int | float) else None


def _word(told: Any) -> str:
    return str(told[0]) if isinstance(told, list) and told else str(told or "")


def _exit(told: Any) -> tuple[int | None, int]:
    """Return exit code and signal of a wait status, or of the mapping that newer ones have."""
    if isinstance(told, dict):
        if "return_code" in told:
            signal = told.get("signal") or {}
            return _number(told["return_code"]), _number(signal.get("id") or signal.get("signal_id")) or 0
        told = _number(told)
    return (told >> 8 & 255, told & 127) if isinstance(told, int) else (None, 0)


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
