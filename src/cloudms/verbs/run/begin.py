"""`cms run`: a command on many VMs at once."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cloudms import names as naming
from cloudms.context import Context
from cloudms.engine import Plan, runs
from cloudms.errors import Invalid
from cloudms.model import Vm
from cloudms.verb import Doc, File, Names, Rest, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.vm.names import VmNames

GroupName = Annotated[str | None, Doc("the members of this group"), Names("group")]
On = Annotated[list[str] | None, Doc("only these VMs, such as web[01-10]"), Names("vm")]
Width = Annotated[int, Doc("how many VMs at once")]
Size = Annotated[int, Doc("so many VMs first, and the next when all of these have ended; 0: no batches")]
MaxFail = Annotated[str | None, Doc("begin nothing any more when more than this share, 10%, or number of VMs failed")]
Seconds = Annotated[float | None, Doc("seconds that each VM has from connecting to the end")]
ConnectSeconds = Annotated[float, Doc("seconds that each VM has to let us in")]
FailedOf = Annotated[str | None, Doc("the VMs where this run did not end well; last is the newest run"), Names("run")]
COLUMNS = ("name", "cloud", "state", "exit", "signal", "seconds", "reason")
_MOST = 1000


@verb("run", changes=True, columns=COLUMNS, example="cms run web[1-3] -- uptime")
def run(
    ctx: Context,
    names: VmNames = [],  # noqa: B006 (never changed)
    command: Annotated[list[str], Doc("command to run, after --"), Rest()] = [],  # noqa: B006 (never changed)
    *,
    group: GroupName = None,
    on: On = None,
    label: Labels = None,
    cloud: CloudName = None,
    failed_of: FailedOf = None,
    width: Width = 50,
    batch: Size = 0,
    timeout: Seconds = None,
    connect_timeout: ConnectSeconds = 20.0,
    max_fail: MaxFail = None,
    input: Annotated[Path | None, Doc("file that the command reads from stdin"), File()] = None,  # noqa: A002
) -> Plan:
    """Run a command on many VMs at once; lines appear as they come, and each VM has its record.

    One word after -- is a line for the shell of the VM, several are passed on word by word. Output is kept in files:
    cms run info, cms run logs. With --failed-of and no command the command of that run is run again.
    """
    line = command[0] if len(command) == 1 else shlex.join(command)
    if not line.strip() and failed_of:
        earlier = runs.find(ctx, failed_of)
        if earlier.action != "command":
            raise Invalid(f"{earlier.name} was no command", hint="give one after --")
        line = earlier.command
        input = input or (Path(earlier.spec["input"]) if earlier.spec.get("input") else None)  # noqa: A001
    if not line.strip():
        raise Invalid("nothing is to be run", hint="for instance: cms run web1 -- uptime")
    found = runs.vms_of(
        ctx, [*names, *(on or [])], group=group or "", cloud=cloud or "", labels=label, failed_of=failed_of or ""
    )
    seconds = (timeout, connect_timeout)
    spec = asked(found, width=width, batch=batch, seconds=seconds, max_fail=max_fail, group=group)
    spec |= {"what": "command", "command": line, "input": str(input.absolute()) if input else None}
    return runs.plan("run", f"run {_short(line)} on {named(found)}", found, spec)


def asked(
    found: Sequence[Vm],
    *,
    width: int,
    batch: int,
    seconds: tuple[float | None, float],
    max_fail: str | None,
    group: str | None,
) -> dict[str, Any]:
    """Return how a run is to go, checked; `seconds` are those for all and for connecting. Raises: Invalid."""
    timeout, connect_timeout = seconds
    if not 1 <= width <= _MOST:
        raise Invalid(f"--width {width} is not between 1 and {_MOST}", hint="50 is the default; more is seldom faster")
    if batch < 0:
        raise Invalid(f"--batch {batch} is no number of VMs", hint="for instance --batch 10")
    if timeout is not None and timeout <= 0:
        raise Invalid(f"--timeout {timeout:g} leaves no time", hint="for instance --timeout 60")
    if connect_timeout <= 0:
        raise Invalid(f"--connect-timeout {connect_timeout:g} leaves no time", hint="20 is the default")
    runs.share(max_fail or "", len(found))
    return {
        "width": width,
        "batch": batch or None,
        "timeout": timeout,
        "connect_timeout": connect_timeout,
        "max_fail": max_fail,
        "group": group or None,
    }


def named(found: Sequence[Vm]) -> str:
    """Return VMs in a few words."""
    return naming.compress(vm.name for vm in found) or "no VM"


def _short(line: str) -> str:
    first, _, more = line.strip().partition("\n")
    return f"'{first[:60]}{'…' if len(first) > 60 or more else ''}'"
