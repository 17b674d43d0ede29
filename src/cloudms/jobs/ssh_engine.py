"""The engine that needs nothing but SSH: tasks are shared out over VMs, run there by themselves, and are collected.

A pass (`step`) looks at everything anew, so that any process can make the next one. It talks to all nodes at once; one
that is slow is talked to on and on while passes go on without it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from cloudms.context import Context
from cloudms.errors import CloudmsError, Interrupted
from cloudms.jobs import nodes as places
from cloudms.jobs import setup, store
from cloudms.jobs.base import ENDED, Progress
from cloudms.jobs.exchange import Heard
from cloudms.jobs.node import Remote, RemoteOf, over_ssh
from cloudms.jobs.passing import Pass
from cloudms.jobs.pretend import Pretended
from cloudms.jobs.spec import Boot, Spec
from cloudms.model import Experiment, Operation, Step, Task, Vm

_SHORTEST, _LONGEST = 0.3, 15.0
"""Seconds between passes: at first, and when nothing has happened for long."""
_TOGETHER = 20.0
"""Seconds that a pass waits for its nodes; those that take longer are not waited for any more."""
_WIDTH = 32
_TRIES = 3
"""How often deleting the nodes is tried before it is left to a person."""
_DRIVERS = itertools.count(1)


class SshEngine:
    """Runs tasks on VMs over SSH. Parameters: `remote_of`, how a node is reached."""

    name = "ssh"

    def __init__(self, remote_of: RemoteOf = over_ssh) -> None:
        self._remote_of = remote_of
        self._remotes: dict[str, Remote] = {}
        self._talks: dict[str, Future[Heard]] = {}
        self._threads = ThreadPoolExecutor(_WIDTH, thread_name_prefix="cms-nodes")
        self._boot: Future[Operation | None] | None = None
        self._booting: Context | None = None
        self._replacing = False
        self.refused: list[tuple[float, str]] = []
        """When boots in place of lost nodes could not be planned, and why."""
        self._digest: str | None = None
        self._happened = 0.0
        self._tries = 0
        self._silent: dict[str, float] = {}
        self._holder = f"ssh{next(_DRIVERS)}"

    def plan(self, ctx: Context, experiment: Experiment) -> list[Step]:
        """Return what would be done. Raises: NotFound (a group, an image …), NotReady, Invalid."""
        spec = Spec.from_document(experiment.spec)
        count = experiment.tasks
        if spec.boot is not None:
            steps = list(places.boot_plan(ctx, experiment, spec.boot).steps)
            keys = ("image", "flavor", "lease", "price")
            found = [step.with_(params={key: step.params.get(key) for key in keys}) for step in steps]
            return [*found, *_shares(count, [(step.target, step.cloud) for step in steps])]
        return _shares(count, [(vm.name, vm.cloud) for vm in places.wanted(ctx, spec)])

    def start(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Make the experiment run. Raises: NotFound (its group), NotReady (none of its members runs)."""
        spec = Spec.from_document(experiment.spec)
        if spec.boot is None and experiment.status == "waiting":
            places.wanted(ctx, spec)

        def to(now: Experiment) -> Experiment:
            if now.status != "waiting":
                return now
            return now.with_(status="running", started=ctx.clock.now(), reason="")

        return store.change(ctx, experiment, to, action="experiment.start", text="begun")

    def cancel(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Ask it to end; the next passes see to it."""

        def to(now: Experiment) -> Experiment:
            return now if now.status in ENDED else now.with_(cancel=True)

        return store.change(ctx, experiment, to, action="experiment.cancel", text="asked to end")

    def step(self, ctx: Context, experiment: Experiment) -> Progress:
        """Make one pass, unless another process has the turn. Raises: NotFound, NoCapacity (this machine's disk)."""
        with store.turn(ctx, experiment, self._holder) as mine:
            experiment = store.find(ctx, experiment.name)
            if not mine or experiment.status in ENDED:
                return _seen(ctx, experiment, mine=mine)
            if experiment.status == "waiting":
                experiment = self.start(ctx, experiment)
            return Pass(self, ctx, experiment).make()

    def logs(self, ctx: Context, task: Task, *, follow: bool = False, stderr: bool = False) -> Iterator[str]:
        """Yield what a task has printed. Raises: NotReady (it has not begun, or its node does not answer)."""
        from cloudms.jobs.logs import printed

        return printed(ctx, task, self._remote_of, follow=follow, stderr=stderr)

    def delete(self, ctx: Context, experiment: Experiment) -> None:
        """Remove what is left on nodes that answer, and nodes that were booted for it."""
        spec = Spec.from_document(experiment.spec)
        if spec.boot is not None and not spec.boot.keep:
            places.release(ctx, experiment)
            return
        for vm in places.vms_of(ctx, experiment, spec):
            self.clean(ctx, experiment, vm)

    def clean(self, ctx: Context, experiment: Experiment, vm: Vm) -> None:
        """Remove an experiment from a node; one that does not answer is passed over."""
        try:
            self.remote(ctx, experiment, vm).text("clean")
        except CloudmsError as error:
            ctx.warn(f"{vm.name} still has files of experiment {experiment.name}: {error.message}")

    def remote(self, ctx: Context, experiment: Experiment, vm: Vm) -> Remote:
        """Return a node as it is talked to."""
        key = f"{vm.key} {vm.ssh_host}:{vm.ssh_port}"
        if key not in self._remotes:
            pretended = self._remote_of is over_ssh and ctx.cloud_class(vm.cloud).simulated
            self._remotes[key] = Pretended(ctx, experiment) if pretended else self._remote_of(ctx, experiment, vm)
        return self._remotes[key]

    def digest(self, spec: Spec) -> str:
        """Return the digest of the set-up, worked out once."""
        if self._digest is None:
            self._digest = setup.digest(spec.setup)
        return self._digest

    def talk(self, node: str, work: Callable[[], Heard]) -> None:
        """Begin an exchange with a node that none is under way with."""
        self._talks[node] = self._threads.submit(work)

    def heard(self, nodes: Sequence[str] = ()) -> dict[str, Future[Heard]]:
        """Return the exchanges that have ended, by node; those with `nodes` are waited for, for a while."""
        wait([self._talks[name] for name in nodes], timeout=_TOGETHER)
        found = {name: talk for name, talk in self._talks.items() if talk.done()}
        for name in found:
            del self._talks[name]
        return found

    @property
    def talking(self) -> bool:
        """Whether an exchange is under way."""
        return bool(self._talks)

    def is_talking(self, node: str) -> bool:
        """Whether an exchange with this node is under way."""
        return node in self._talks

    def boot(self, ctx: Context, experiment: Experiment, wish: Boot) -> Operation | None:
        """Have nodes booted, and return how that has ended, None while it goes on. Raises: what booting raises."""
        if self._boot is None:
            self._booting = _branch(ctx)
            self._boot = self._threads.submit(places.boot, self._booting, experiment, wish)
        if ctx.cloud_class(ctx.new_clouds(wish.cloud)[0]).simulated:
            wait([self._boot])
        if not self._boot.done():
            return None
        begun, self._boot = self._boot, None
        try:
            ended = begun.result()
        except CloudmsError as error:
            if not self._replacing or isinstance(error, Interrupted):
                raise
            self._replacing = False
            self.refused.append((ctx.clock.now(), error.message))
            return places.booted(ctx, experiment)
        if ended is not None:  # otherwise another process is at it
            self._boot = begun
        return ended

    def replace(self, ctx: Context, experiment: Experiment, wish: Boot, count: int) -> None:
        """Have nodes booted in place of others; `boot` tells how that has ended."""
        self._booting = _branch(ctx)
        self._replacing = True
        self._boot = self._threads.submit(places.replace, self._booting, experiment, wish, count)

    def stop_booting(self) -> None:
        """End booting, as far as it goes, and wait for that."""
        if self._booting is not None and self._boot is not None:
            self._booting.stop()
            wait([self._boot])

    def pause(self, ctx: Context, happened: bool) -> float:
        """Return the seconds until the next pass: a tenth of the time in which nothing has happened."""
        now = ctx.clock.monotonic()
        if happened or not self._happened:
            self._happened = now
        return min(max((now - self._happened) / 10, _SHORTEST), _LONGEST)

    def silence(self, ctx: Context, node: str, *, over: bool = False) -> float:
        """Return for how many seconds this process has asked a node in vain; time in which it slept does not count."""
        if over:
            self._silent.pop(node, None)
            return 0.0
        now = ctx.clock.monotonic()
        return now - self._silent.setdefault(node, now)

    def last_try(self) -> bool:
        """Count a try to delete nodes and return whether it was the last."""
        self._tries += 1
        return self._tries >= _TRIES


def _seen(ctx: Context, experiment: Experiment, *, mine: bool) -> Progress:
    """Return how far an experiment is that this pass has nothing to do with."""
    return Progress(
        experiment=experiment,
        tasks=dict(Counter(task.status for task in store.tasks(ctx, experiment.name))),
        nodes=dict(Counter(node.status for node in store.nodes(ctx, experiment.name))),
        pause=2.0,
        mine=mine,
    )


def _shares(count: int, found: Sequence[tuple[str, str]]) -> list[Step]:
    """Return for each node how many tasks it gets at first."""
    shares = [count // len(found) + (number < count % len(found)) for number in range(len(found))]
    return [
        Step(action="experiment.tasks", cloud=cloud, target=name, params={"tasks": share})
        for (name, cloud), share in zip(found, shares, strict=True)
    ]


def _branch(ctx: Context) -> Context:
    """Return a context for booting that is stopped when `ctx` is, but does not stop it."""
    made = ctx.branch()

    def heard(target: str, text: str) -> None:
        if ctx.stopping.is_set():
            made.stop()
        ctx.progress(target, text)

    made.progress = heard
    return made
