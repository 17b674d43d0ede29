"""First-boot data of a VM: what the person gave, verbatim, and beside it host name, further keys and the timer.

Several kinds of data in one are a MIME archive, merged by cloud-init (https://docs.cloud-init.io, "User-data formats"
and "Merging user-data sections"). Data that are not for cloud-init (Windows, Ignition, a distribution's own) are passed
alone: nothing is merged into them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cloudms import lease
from cloudms.lease import Source
from cloudms.record import Record

_MERGE = """merge_how:
  - name: list
    settings: [append]
  - name: dict
    settings: [no_replace, recurse_list]
"""
"""Ours comes last and gives way: what the person's data say stays, lists of keys are joined."""
_OURS = ("#!", "#cloud-", "#include", "## template:", "#part-handler", "#upstart-job", "content-type:", "mime-version:")


_INDEX = {"aws": "ami_launch_index", "openstack": "launch_index"}
"""What cloud-init calls the number of a VM in its request, by where it reads."""


class FirstBoot(Record):
    """What a guest is given: the `text` before base64, and whether the `timer` of its lease is in it."""

    text: str
    timer: bool = False


def data(
    given: str, hostnames: Sequence[str], keys: Sequence[str], expires: float | None, *, source: Source,
    cloud_init: bool = True,
) -> FirstBoot:  # fmt: skip
    """Return the first-boot data of the VMs of one request; the same request gives the same text.

    Parameters: `given`, the person's user data; `hostnames`, in the order of the launch index; `keys`, public keys that
    the key pair does not hold; `expires`, epoch seconds or None; `source`, where the guest reads of a later end;
    `cloud_init`, whether the guest has it (Windows has not: a timer that never runs must not make a shutdown a
    deletion).
    """
    if not cloud_init or (given and not mergeable(given)):
        return FirstBoot(text=given)
    parts = [part for part in (given, _keys(keys), _hostname(hostnames, _INDEX.get(source, ""))) if part]
    text = parts[0] if len(parts) == 1 else lease.archive(parts) if parts else ""
    timed = lease.with_timer(text, expires, source=source)
    return FirstBoot(text=timed, timer=timed != text)


def mergeable(given: str) -> bool:
    """Whether first-boot data are cloud-init's, so that something can be put beside them."""
    return given.lstrip().lower().startswith(_OURS)


def _keys(keys: Sequence[str]) -> str:
    lines = "".join(f"  - {json.dumps(' '.join(key.split()))}\n" for key in keys)
    return f"#cloud-config\nssh_authorized_keys:\n{lines}{_MERGE}" if keys else ""


def _hostname(hostnames: Sequence[str], index: str) -> str:
    """Return the part that sets the host name; of several VMs each takes its own by its launch index."""
    names = [name for name in hostnames if name]
    if not names:
        return ""
    if len(names) == 1:
        return f"#cloud-config\nhostname: {names[0]}\n{_MERGE}"
    listed = " ".join(names)
    return (
        "## template: jinja\n#cloud-config\n"
        f"hostname: {{{{ '{listed}'.split()[ds.meta_data.{index} | int] }}}}\n{_MERGE}"
    )
