"""A pretended engine: two tasks are done per pass, without nodes, by rules that stand in the commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudms.context import Context
from cloudms.errors import NotReady
from cloudms.jobs import store, task
from cloudms.jobs.base import ENDED, Progress
from cloudms.jobs.spec import Spec
from cloudms.jobs.values import collected
from cloudms.model import Experiment, Step, Task


class PretendEngine:
    """Prints the parameters of each task; a task whose `code` is set has that exit code."""

    name = "ssh"
    calls: list[str] = []  # noqa: RUF012 (emptied by each test)
    unreachable = 0

    def plan(self, ctx: Context, experiment: Experiment) -> list[Step]:
        """Return one step per node."""
        boot = experiment.spec.get("boot") or {"size": 1}
        return [
            Step(
                action="vm.boot",
                cloud="one",
                target=f"node-{number}",
                params={"image": boot.get("image", ""), "flavor": "small"},
            )
            for number in range(1, boot["size"] + 1)
        ]

    def start(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Make it run."""
        self.calls.append("start")
        return store.change(ctx, experiment, lambda now: now.with_(status="running", started=ctx.clock.now()))

    def step(self, ctx: Context, experiment: Experiment) -> Progress:
        """End two tasks."""
        if type(self).unreachable:
            type(self).unreachable -= 1
            raise NotReady("the network is down")
        with store.turn(ctx, experiment) as mine:
            assert mine
            experiment = store.find(ctx, experiment.name)
            waiting = [each for each in store.tasks(ctx, experiment.name) if each.status not in ENDED]
            if experiment.cancel:
                changed = [store.change(ctx, each, lambda now: task.cancelled(now, 1.0)) for each in waiting]
            else:
                changed = [self._run(ctx, each, Spec.from_document(experiment.spec)) for each in waiting[:2]]
            return Progress(experiment=self._counted(ctx, experiment), changed=changed, nodes={"idle": 1}, pause=1.0)

    def _run(self, ctx: Context, one: Task, spec: Spec) -> Task:
        folder = store.folder_of(one.experiment, one.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stdout").write_text("".join(f"{name}={value}\n" for name, value in one.params.items()))
        (folder / "stderr").write_text("oops\n")
        code = int(one.params.get("code", 0))

        def go(now: Task) -> Task:
            running = task.begun(task.given(now, "node-1", "fake", 10.0), 10.0)
            return task.ended(running, task.Ending(exit=code, started=10.0, ended=12.5), spec.retries, spec.moves)

        found = collected(spec.values, folder)
        return store.change(ctx, one, lambda now: go(now).with_(values=found))

    def _counted(self, ctx: Context, experiment: Experiment) -> Experiment:
        tasks = store.tasks(ctx, experiment.name)
        facts: dict[str, Any] = store.summed(experiment, tasks)
        if all(each.status in ENDED for each in tasks):
            status = "cancelled" if experiment.cancel else "failed" if facts["failed"] else "done"
            facts |= {"status": status, "ended": ctx.clock.now()}
        return store.change(ctx, experiment, lambda now: now.with_(**facts))

    def cancel(self, ctx: Context, experiment: Experiment) -> Experiment:
        """Ask for the end."""
        return store.change(ctx, experiment, lambda now: now.with_(cancel=True))

    def logs(self, ctx: Context, task: Task, *, follow: bool = False, stderr: bool = False) -> Iterator[str]:
        """Yield pieces."""
        yield from ("a lin", "e\nand", " another")

    def delete(self, ctx: Context, experiment: Experiment) -> None:
        """Tell that it was asked."""
        self.calls.append("delete")
