"""Runs: one action on many VMs over SSH, with a record for each, kept so that what failed can be run again.

A run is one batch of an operation. Its command is written down as it was typed (in the run and in the operation's
summary); its output goes to files below ~/.cloudmesh/runs, readable by nobody else.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms import names, paths
from cloudms.context import Context, not_found
from cloudms.engine import vms as change
from cloudms.engine.groups import members
from cloudms.engine.labels import narrow
from cloudms.engine.operation import observed
from cloudms.engine.plan import Batch, Left, Outcome, Plan, Work, action
from cloudms.engine.select import vms as chosen
from cloudms.errors import CloudmsError, Conflict, Interrupted, Invalid, NotFound, NotReady, Partial, rebuilt
from cloudms.fanout.action import Action, Command, Get, Put
from cloudms.fanout.faults import local
from cloudms.fanout.host import Host, hosts_of
from cloudms.fanout.one import Outlet
from cloudms.fanout.perform import pack
from cloudms.fanout.pool import CONNECT_S, WIDTH
from cloudms.fanout.record import HostRecord, blank
from cloudms.model import Noun, Operation, OperationState, Run, Step, Vm

LAST = "last"
_UP = ("running", "pending", "rebooting", "unknown")
"""States of VMs that are connected to."""
_NOT_RUN = ("cancelled", "skipped")
_TAILS = 4 * 1024 * 1024
_TAIL = (1024, 64 * 1024)
"""Bytes of output that the records of a run keep all together, and of each stream at least and at most."""


def folder() -> Path:
    """Return the folder of what runs said."""
    return paths.home() / "runs"


def find(ctx: Context, name: str) -> Run:
    """Return a run by its name, or the `last` one, as it is now, without its records. Raises: NotFound."""
    if name == LAST:
        newest = ctx.catalog.find("run", newest=True, limit=1)
        if not newest:
            raise NotFound("nothing was run yet", hint="for instance: cms run web1 -- uptime")
        return seen(ctx, Run.from_document(newest[0].document))
    stored = ctx.catalog.get("run", name)
    if stored is None:
        raise not_found("run", name, (row.key for row in ctx.catalog.find("run")), "cms run list")
    return seen(ctx, Run.from_document(stored.document))


def seen(ctx: Context, run: Run) -> Run:
    """Return a run whose state is the truth also when its process was killed."""
    if run.state is not OperationState.RUNNING:
        return run
    operation = operation_of(ctx, run)
    return run.with_(state=operation.state if operation else OperationState.INTERRUPTED)


def operation_of(ctx: Context, run: Run) -> Operation | None:
    """Return the operation that carries a run out."""
    stored = ctx.catalog.get("operation", run.operation) if run.operation else None
    return observed(Operation.from_document(stored.document)) if stored else None


def steps_of(operation: Operation | None, run: Run) -> list[Step]:
    """Return the steps of a run, one per host."""
    return [step for step in operation.steps if step.params.get("run") == run.name] if operation else []


def with_records(ctx: Context, run: Run) -> Run:
    """Return a run with a record for every host; one that has not ended has only its state."""
    return run.with_(records=tuple(_record(step) for step in steps_of(operation_of(ctx, run), run)))


def _record(step: Step) -> HostRecord:
    if step.result:
        return HostRecord.from_document(step.result)
    error = dict(step.error or {})
    return HostRecord(name=step.target, cloud=step.cloud, vm=str(step.params["key"]), state=step.state, error=error)


def vms_of(
    ctx: Context,
    names_: Sequence[str],
    *,
    group: str = "",
    cloud: str = "",
    labels: Mapping[str, str] | None = None,
    failed_of: str = "",
) -> list[Vm]:
    """Return the VMs of a run: by names, members of a group, by labels, or those where an earlier run failed.

    Raises: Invalid (nothing was named), NotFound, Conflict.
    """
    if failed_of:
        if names_ or group or labels:
            raise Invalid("--failed-of says already which VMs", hint="leave out names, --on, --group and --label")
        return _failed_of(ctx, find(ctx, failed_of))
    if not group:
        return chosen(ctx, names_, cloud=cloud, labels=labels, what="name the VMs or --group")
    found = members(ctx, group, ",".join(names_))
    if cloud:
        found = [vm for vm in found if vm.cloud in ctx.cloud_names(cloud)]
    return narrow("VM", found, labels)


def _failed_of(ctx: Context, run: Run) -> list[Vm]:
    failed = [step for step in steps_of(operation_of(ctx, run), run) if step.state != "done"]
    rows = [ctx.catalog.get("vm", str(step.params["key"])) for step in failed]
    gone = [step.target for step, row in zip(failed, rows, strict=True) if row is None]
    if gone:
        ctx.warn(f"{names.compress(gone)} of {run.name} no longer exist and are left out")
    return [Vm.from_document(row.document) for row in rows if row]


def plan(verb: str, summary: str, found: Sequence[Vm], spec: Mapping[str, Any]) -> Plan:
    """Return the plan of a run; what a dry run shows of each step is how it was asked for.

    Parameters: `spec`, with `what` (command, put or get), what that needs, `group`, `width`, `batch`, `max_fail`
    (a share or a number, as typed), `timeout` and `connect_timeout` in seconds.
    """
    steps = change.steps("run.host", found, **spec) if found else ()
    notes = () if found else ("it ended well on every VM that still exists",)
    return Plan(verb=verb, summary=summary, steps=steps, notes=notes, tells="lines" if verb == "run" else "records")


def share(text: str, hosts: int) -> float | None:
    """Return which share of hosts may fail: `10%`, or a number of them. Raises: Invalid."""
    if not text:
        return None
    number, percent = text.removesuffix("%"), text.endswith("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number) or (percent and float(number) > 100):
        raise Invalid(
            f"--max-fail {text[:40]} is neither a share nor a number of hosts", hint="for instance: 10%, or 3"
        )
    return float(number) / 100 if percent else float(number) / max(hosts, 1)


def _prepare(ctx: Context, steps: Sequence[Step]) -> Sequence[Step]:
    """Write the run down, once, and let its steps name it instead of repeating what it is."""
    fresh = [step for step in steps if "run" not in step.params]
    if not fresh:
        return steps
    spec = {name: value for name, value in fresh[0].params.items() if name not in ("key", "group")}
    name = f"run-{ctx.catalog.counter('run', add=1)}"
    place = paths.private(folder() / name)
    if spec.get("input"):
        spec["input"] = str(_kept(Path(spec["input"]), place / "input"))
    what = spec["command"] if spec["what"] == "command" else spec["remote"]
    run = Run(
        name=name,
        action=spec["what"],
        command=what,
        hosts=len(fresh),
        group=str(fresh[0].params.get("group") or ""),
        folder=str(place),
        actor=ctx.actor,
        spec=spec,
        started=ctx.clock.now(),
    )
    ctx.catalog.put("run", {name: run.to_document()})
    return [s.with_(params={"key": s.params["key"], "run": name}) if "run" not in s.params else s for s in steps]


def _kept(source: Path, copy: Path) -> Path:
    """Copy what the commands read from stdin, so that a later resume has it. Raises: NotFound, NoCapacity, Denied."""
    try:
        copy.touch(mode=0o600)
        with source.open("rb") as given, copy.open("wb") as kept:
            shutil.copyfileobj(given, kept)
    except FileNotFoundError:
        raise NotFound(f"there is no file {source}", hint="--input takes the path of a file to read") from None
    except OSError as error:
        raise local(error, f"{source} cannot be copied to {copy}") from None
    return copy


def _together(works: Sequence[Work], _whole: Sequence[Step]) -> Iterator[tuple[Work, Outcome]]:
    """Carry out a run: every host gets its record, whatever becomes of the others."""
    ctx = works[0].ctx
    run = find(ctx, str(works[0].step.params["run"]))
    run = run.with_(state=OperationState.RUNNING, operation=works[0].operation, ended=None)
    ctx.catalog.put("run", {run.name: run.to_document()})
    begun, ok, lost = ctx.clock.monotonic(), run.hosts - len(works), 0
    one = _Run(ctx, run, works)
    try:
        for work, record in one.records():
            ok, lost = ok + record.ok, lost + (record.state in _NOT_RUN)
            yield work, record if record.ok else Left(error=_error(record), noun=record)
    finally:
        one.close()
        run = _ended(ctx, run.with_(ok=ok, failed=run.hosts - ok - lost))
        ctx.catalog.put("run", {run.name: run.to_document()})
    ctx.note(_told(run, ctx.clock.monotonic() - begun))
    if ctx.stopping.is_set():
        raise Interrupted("stopped on request")


def _ended(ctx: Context, run: Run) -> Run:
    state = OperationState.PARTIAL if run.ok else OperationState.FAILED
    if run.ok == run.hosts:
        state = OperationState.DONE
    elif ctx.stopping.is_set():
        state = OperationState.CANCELLED
    return run.with_(state=state, ended=ctx.clock.now())


def _told(run: Run, seconds: float) -> str:
    left = run.hosts - run.ok - run.failed
    counts = [f"{run.ok} of {run.hosts} done"]
    counts += [f"{run.failed} failed"] if run.failed else []
    counts += [f"{left} not run to the end"] if left else []
    again = f"; again: --failed-of {run.name}" if run.ok < run.hosts else ""
    return f"{run.name}: {', '.join(counts)} in {seconds:.1f} s{again}"


class _Run:
    """One run while it goes on."""

    def __init__(self, ctx: Context, run: Run, works: Sequence[Work]) -> None:
        self._ctx = ctx
        self._run = run
        self._spec = run.spec
        self._place = paths.private(Path(run.folder))
        self._files = _files(works)
        self._tail = min(max(_TAILS // (2 * len(works)), _TAIL[0]), _TAIL[1])
        self._packed: Path | None = None
        self._left = {str(work.step.params["key"]): work for work in works}

    def records(self) -> Iterator[tuple[Work, HostRecord]]:
        """Yield the record of every host as it ends. Raises: MissingExtra, NotFound (what is to be put is gone)."""
        hosts, out = self._sorted()
        for work, error in out:
            yield work, blank(_host(work), state="unreached", error=error.to_public())
        if not hosts:
            return
        records = self._ctx.pool().each(
            hosts,
            "",
            action_of=self._actions(),
            width=int(self._spec.get("width") or WIDTH),
            batch=int(self._spec.get("batch") or 0),
            timeout=self._spec.get("timeout"),
            connect_timeout=float(self._spec.get("connect_timeout") or CONNECT_S),
            max_fail=share(str(self._spec.get("max_fail") or ""), self._run.hosts),
            cancel=self._ctx.stopping,
            outlet=self._outlet,
        )
        for record in records:
            yield self._left[record.vm], record

    def _sorted(self) -> tuple[list[Host], list[tuple[Work, CloudmsError]]]:
        """Return the hosts that can be connected to, and why the others cannot."""
        vms: list[Vm] = []
        out: list[tuple[Work, CloudmsError]] = []
        for key, work in self._left.items():
            row = self._ctx.catalog.get("vm", key)
            vm = Vm.from_document(row.document) if row else None
            if vm is None:
                out.append((work, NotFound(f"{work.step.target} is gone", hint="cms vm list")))
            elif vm.state not in _UP:
                out.append((work, NotReady(f"{vm.name} is {vm.state}", hint=f"cms vm start {vm.name}")))
            else:
                vms.append(vm)
        return hosts_of(self._ctx, vms), out

    def _actions(self) -> Callable[[Host], Action]:
        spec = self._spec
        if spec["what"] == "command":
            given = Path(spec["input"]) if spec.get("input") else b""
            wanted = Command(command=spec["command"], input=given)
            return lambda _host: wanted
        if spec["what"] == "put":
            source = Path(spec["local"])
            if not source.exists():
                raise NotFound(f"there is no file {source} any more", hint="put it back, or put another one")
            self._packed = pack(source) if source.is_dir() else None
            put = Put(source=source, remote=spec["remote"], mode=spec.get("mode"), packed=self._packed)
            return lambda _host: put
        return self._get

    def _get(self, host: Host) -> Action:
        into = Path(self._spec.get("local") or self._place / "files")
        name = Path(self._spec["remote"].rstrip("/")).name or "root"
        return Get(remote=self._spec["remote"], local=into / self._files[host.vm] / name)

    def _outlet(self, host: Host) -> Outlet:
        ctx, name, heard = self._ctx, host.name, self._ctx.heard
        base = self._files[host.vm]
        wants = self._spec["what"] == "command"
        return Outlet(
            self._place / f"{base}.out" if wants else None,
            self._place / f"{base}.err" if wants else None,
            tail=self._tail,
            heard=(lambda stream, text: heard(name, stream, text)) if heard and wants else None,
            now=lambda text: ctx.progress(name, text),
        )

    def close(self) -> None:
        """Remove what was made for the time of the run only."""
        if self._packed is not None:
            self._packed.unlink(missing_ok=True)


def _host(work: Work) -> Host:
    return Host(name=work.step.target, cloud=work.step.cloud, vm=str(work.step.params["key"]))


def _files(works: Sequence[Work]) -> dict[str, str]:
    """Return a file name for every host: its own, told apart where clouds have several of that name."""
    taken: dict[str, str] = {}
    for work in works:
        base = re.sub(r"[^\w.-]", "_", work.step.target).lstrip(".") or "host"
        name = base if base not in taken.values() else f"{base}@{re.sub(r'[^A-Za-z0-9.-]', '_', work.step.cloud)}"
        number = 2
        while name in taken.values():
            name, number = f"{base}.{number}", number + 1
        taken[str(work.step.params["key"])] = name
    return taken


def _error(record: HostRecord) -> CloudmsError:
    """Return what a record that did not end well amounts to."""
    if record.error:
        return rebuilt(record.error)
    what = f"ended by SIG{record.signal}" if record.signal else f"exit {record.exit}"
    return Partial(what, hint="cms run logs last shows what it said")


@action("run.host", prepare=_prepare, batch=Batch(of=lambda step: str(step.params.get("run", "")), run=_together))
def _host_alone(work: Work) -> Noun | None:
    """Carry out a step that is in no batch; there is none such."""
    raise Conflict(f"{work.step.target} belongs to no run", hint="run it again")
