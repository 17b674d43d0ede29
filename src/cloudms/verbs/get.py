"""Bring a file or folder of many VMs here, into a folder for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Plan, runs
from cloudms.errors import Invalid
from cloudms.verb import Doc, File, verb
from cloudms.verbs.labels import Labels
from cloudms.verbs.lists import CloudName
from cloudms.verbs.run.begin import (
    COLUMNS,
    ConnectSeconds,
    FailedOf,
    GroupName,
    MaxFail,
    On,
    Seconds,
    Size,
    Width,
    asked,
    named,
)


@verb("get", changes=True, columns=COLUMNS, example="cms get /var/log/syslog logs --on web[1-3]")
def get(
    ctx: Context,
    remote: Annotated[str, Doc("file or folder on each VM")],
    local: Annotated[Path | None, Doc("folder here; that of the run otherwise"), File(write=True)] = None,
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
) -> Plan:
    """Bring a file or folder of many VMs here: LOCAL/VM/NAME for each.

    It is written beside its place and renamed when it is whole; an earlier one is replaced. The record of each VM names
    the file, and how many bytes came.
    """
    found = runs.vms_of(ctx, on or [], group=group or "", cloud=cloud or "", labels=label, failed_of=failed_of or "")
    if not remote.strip():
        raise Invalid("nothing is to be got", hint="for instance: cms get /var/log/syslog logs --on web1")
    if local is not None and local.exists() and not local.is_dir():
        raise Invalid(f"{local} is no folder", hint="a folder for each VM is made in it")
    seconds = (timeout, connect_timeout)
    spec = asked(found, width=width, batch=batch, seconds=seconds, max_fail=max_fail, group=group)
    spec |= {"what": "get", "remote": remote, "local": str(local.absolute()) if local else None}
    return runs.plan("get", f"get {remote} from {named(found)}", found, spec)
