"""Write a file or folder to many VMs at once."""

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


@verb("put", changes=True, columns=COLUMNS, example="cms put setup.sh /opt/setup.sh --on web[1-3]")
def put(
    ctx: Context,
    local: Annotated[Path, Doc("file or folder on this machine"), File()],
    remote: Annotated[str, Doc("where it goes on each VM; with a / at the end, into that folder")],
    *,
    group: GroupName = None,
    on: On = None,
    label: Labels = None,
    cloud: CloudName = None,
    failed_of: FailedOf = None,
    mode: Annotated[str | None, Doc("mode of the file there, such as 0755; that of the file here otherwise")] = None,
    width: Width = 50,
    batch: Size = 0,
    timeout: Seconds = None,
    connect_timeout: ConnectSeconds = 20.0,
    max_fail: MaxFail = None,
) -> Plan:
    """Write a file or folder to many VMs at once.

    A file is written beside its place and then renamed, so that nobody sees half of it. A folder is written into the
    folder REMOTE: what is there besides stays. No SFTP is needed on the VMs.
    """
    found = runs.vms_of(ctx, on or [], group=group or "", cloud=cloud or "", labels=label, failed_of=failed_of or "")
    there = f"{remote}{local.name}" if remote.endswith("/") and not local.is_dir() else remote
    if not there.strip("/"):
        raise Invalid(f"'{remote}' is no place for a file", hint="for instance: /opt/setup.sh")
    seconds = (timeout, connect_timeout)
    spec = asked(found, width=width, batch=batch, seconds=seconds, max_fail=max_fail, group=group)
    spec |= {"what": "put", "local": str(local.absolute()), "remote": there, "mode": _mode(mode)}
    return runs.plan("put", f"put {local.name} as {there} on {named(found)}", found, spec)


def _mode(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = int(text, 8)
    except ValueError:
        found = -1
    if not 0 <= found <= 0o7777:
        raise Invalid(f"--mode {text[:20]} is no mode", hint="for instance 0755")
    return found
