"""`cms cluster resume` and `suspend`: what Slurm calls to have nodes booted and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from cloudms import names as naming
from cloudms.cluster import conf, files, node, store
from cloudms.cluster.control import Control
from cloudms.context import Context
from cloudms.engine import Plan, Work, action
from cloudms.engine import vms as change
from cloudms.engine.making import demand, intents, withdraw
from cloudms.engine.plan import ACTIONS
from cloudms.errors import CloudmsError, Invalid, NotFound, NotReady
from cloudms.model import Cluster, Noun, Step, Vm, VmState
from cloudms.verb import Doc, verb
from cloudms.verbs.cluster.make import ClusterName, own
from cloudms.verbs.vm.order import Order, ordered

NodeNames = Annotated[list[str], Doc("nodes, as Slurm names them: lab-[1-3]")]
_COLUMNS = ("name", "cloud", "state")
_WITHOUT_FILES = (VmState.ERROR, VmState.TERMINATING, VmState.TERMINATED, VmState.STOPPED)
_ATTEMPTS = 3
"""How often the files of a node are asked for before it is kept with them."""
_BETWEEN = 5.0
_GOING = 120.0
"""Seconds that are waited for the VM of a node that is being deleted while Slurm wants it again."""


@verb("cluster", "resume", changes=True, columns=_COLUMNS, example="cms cluster resume lab lab-[1-2]")
def resume(ctx: Context, name: ClusterName, nodes: NodeNames) -> Plan:
    """Boot nodes and let them join their cluster. Slurm calls this by itself when jobs wait.

    One that fails is told to Slurm, which puts its jobs back into the queue; its VM is deleted. It is tried again
    after a minute, and then after longer and longer pauses.
    """
    cluster = own(store.find(ctx, name))
    wanted = chosen(cluster, nodes)
    steps: list[Step] = []
    for each in wanted:
        try:
            steps.append(_step(ctx, cluster, each))
        except CloudmsError as error:  # one that cannot even be planned must not keep the others down
            ctx.warn(f"{each}: {error.message}")
            params = {"cluster": cluster.name, "reason": error.message}
            steps.append(Step(action="cluster.refuse", cloud="", target=each, params=params))
    return Plan(verb="cluster resume", summary=f"boot {naming.compress(wanted)} for {cluster.name}", steps=tuple(steps))


def chosen(cluster: Cluster, words: Sequence[str]) -> list[str]:
    """Return the nodes that host lists name. Raises: NotFound, Invalid."""
    found = [each for word in words for each in naming.expand(word)]
    unknown = [each for each in found if conf.pool_of(cluster, each) is None]
    if unknown:
        hint = f"they are {cluster.name}-[1-{cluster.max}]"
        raise NotFound(f"{cluster.name} has no node {naming.compress(unknown)}", hint=hint)
    return list(dict.fromkeys(found))


def _step(ctx: Context, cluster: Cluster, name: str) -> Step:
    """Return the step that boots a node, or that takes the VM of its name that is there."""
    vm = there(ctx, cluster, name)
    end = ctx.clock.monotonic() + _GOING
    while vm is not None and vm.state is VmState.TERMINATING and ctx.clock.monotonic() < end:
        ctx.pause(0.5)
        vm = there(ctx, cluster, name)
    params = {"cluster": cluster.name}
    if vm is not None:
        return Step(action="cluster.join", cloud=vm.cloud, target=name, params={**params, "key": vm.key})
    pool = conf.pool_of(cluster, name) or {}
    order = Order(
        image=str(pool["image"]), flavor=str(pool["flavor"]), name=name, exact=True, group=cluster.name, wait="ready",
        labels={store.LABEL: cluster.name}, ports=str(cluster.node_port), ttl=cluster.ttl, timeout=cluster.boot_timeout,
    )  # fmt: skip
    step = ordered(ctx, order, {str(pool["cloud"]): 1}).steps[0]
    return step.with_(action="cluster.resume", params={**step.params, **params})


def there(ctx: Context, cluster: Cluster, name: str) -> Vm | None:
    """Return the VM of a node as the catalog knows it, or None. Raises: Invalid (another VM has its name)."""
    rows = ctx.catalog.find("vm", name=name)
    found = [vm for row in rows if (vm := Vm.from_document(row.document)).name == name]
    if found and found[0].labels.get(store.LABEL) != cluster.name:
        raise Invalid(f"a VM that is no node of {cluster.name} has the name {name}", hint=f"cms vm rename {name}")
    return found[0] if found else None


@action("cluster.resume", prepare=intents, withdraw=withdraw, demand=demand)
def _resume(work: Work) -> Vm:
    """Boot the VM of a node and let it join; a failure is Slurm's business at once, and not after its timeout."""
    return _joined(work, lambda: ACTIONS["vm.boot"].run(work))


@action("cluster.join")
def _join(work: Work) -> Vm:
    return _joined(work, lambda: change.load(work)[1])


@action("cluster.refuse")
def _refuse(work: Work) -> None:
    """Tell Slurm that a node cannot be planned."""
    cluster, reason = store.find(work.ctx, work.step.params["cluster"]), str(work.step.params["reason"])
    Control(cluster).failed(work.step.target, reason)
    _wait_longer(work.ctx, cluster, work.step.target, "", reason, work.operation)


def _joined(work: Work, made: Callable[[], object]) -> Vm:
    cluster = store.find(work.ctx, work.step.params["cluster"])
    vm: object = None
    try:
        vm = made()
        if not isinstance(vm, Vm):
            raise NotReady(f"{work.step.target} has no VM", hint=f"cms cluster info {cluster.name}")
        work.report("starting munged and slurmd")
        _let_in(work, cluster, vm)
    except CloudmsError as error:
        _give_up(work, cluster, error)
        raise
    if store.came_up(work.ctx, cluster, vm.name):
        Control(cluster).let_go(vm.name)
    return vm


def _let_in(work: Work, cluster: Cluster, vm: Vm) -> None:
    fresh = not store.has_joined(work.ctx, vm)
    store.joined(work.ctx, cluster, vm)  # before: jobs begin as soon as its slurmd runs
    try:
        node.join(cluster, store.place_of(cluster), vm, work.ctx.clock)
    except CloudmsError:
        if fresh:  # no job was ever on it
            store.left(work.ctx, vm)
        raise


def _give_up(work: Work, cluster: Cluster, error: CloudmsError) -> None:
    """Tell Slurm that a node failed; its suspend hook then deletes what there is of the VM."""
    name = work.step.target
    try:
        Control(cluster).failed(name, error.message)
    except CloudmsError as other:
        work.ctx.warn(f"{cluster.name} was not told that {name} failed: {other.message}")
    key = str(work.step.params.get("token") or work.step.params.get("key") or "")
    _wait_longer(work.ctx, cluster, name, key, error.message, work.operation)


def _wait_longer(ctx: Context, cluster: Cluster, name: str, vm: str, reason: str, operation: str = "") -> None:
    """Let no job wake a node that came in vain, each time for twice as long."""
    minutes = store.in_vain(ctx, cluster, name, vm, reason, operation)
    try:
        Control(cluster).hold(name, minutes)
    except CloudmsError as error:
        ctx.warn(f"{name} may be tried again at once: {error.message}")


@verb("cluster", "suspend", changes=True, columns=_COLUMNS, example="cms cluster suspend lab lab-2 --yes")
def suspend(ctx: Context, name: ClusterName, nodes: NodeNames) -> Plan:
    """Delete the VMs of nodes. Slurm calls this by itself when they were idle, or did not come up.

    What jobs have written to /cluster on a node is brought to the folder `files` of the cluster before; a node that
    does not give its files is kept.
    """
    cluster = own(store.find(ctx, name))
    wanted = chosen(cluster, nodes)
    found = {vm.name: vm for each in wanted if (vm := there(ctx, cluster, each))}
    shown = naming.compress(found)
    return Plan(
        verb="cluster suspend",
        summary=f"delete {shown} of {cluster.name}" if found else "no node is there; let them be used again",
        question=f"Delete {shown} for good? Jobs there begin again elsewhere." if found else "",
        steps=tuple(_end_step(cluster, each, found.get(each)) for each in wanted),
    )


def _end_step(cluster: Cluster, name: str, vm: Vm | None) -> Step:
    params = {"cluster": cluster.name, "key": vm.key if vm else ""}
    return Step(action="cluster.suspend", cloud=vm.cloud if vm else "", target=name, params=params)


@action("cluster.suspend")
def _suspend(work: Work) -> Noun:
    """Bring the files of jobs here, then delete the VM; one whose files cannot be had is kept."""
    cluster = store.find(work.ctx, work.step.params["cluster"])
    stored = work.ctx.catalog.get("vm", work.step.params["key"])
    if stored:
        vm = Vm.from_document(stored.document)
        _look_why(work, cluster, vm)
        emptied(work, cluster, vm)
    gone = change.delete(work)
    try:
        Control(cluster).back([work.step.target])
    except CloudmsError as error:  # a controller that does not run has no use for the node either
        work.ctx.warn(f"{work.step.target} was deleted, and {cluster.name} not told: {error.message}")
    return gone


def _look_why(work: Work, cluster: Cluster, vm: Vm) -> None:
    """Count a boot in vain that nobody has told of, since its process was killed: Slurm has given the node up."""
    if store.has_joined(work.ctx, vm) or store.is_told(work.ctx, cluster, vm.name, vm.key):
        return
    try:
        given_up = any(node.name == vm.name and node.state == "down" for node in Control(cluster).nodes())
    except CloudmsError:
        return  # a controller that does not run wakes no node
    if given_up:
        _wait_longer(work.ctx, cluster, vm.name, vm.key, "its boot was broken off", work.operation)


def emptied(work: Work, cluster: Cluster, vm: Vm) -> None:
    """Bring the files of the jobs of a node here. Raises: NotReady (after some attempts), Timeout, Interrupted."""
    if not store.has_joined(work.ctx, vm):
        return
    try:
        if work.ctx.cloud(vm.cloud).get_vm(vm).state in _WITHOUT_FILES:
            return
    except NotFound:
        return
    for attempt in range(1, _ATTEMPTS + 1):
        work.report("fetching the files of its jobs")
        try:
            files.fetch_from(vm, store.files_of(cluster))
            break
        except NotReady:
            if attempt == _ATTEMPTS:
                raise
            work.ctx.pause(_BETWEEN)
    store.left(work.ctx, vm)
