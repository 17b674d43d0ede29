"""Leases that a guest keeps by itself: the timer, and how it gets into the first boot whatever else is to happen there.

The timer is `lease.sh`. It is installed by a *boothook*: cloud-init runs that early at every boot, whatever the
person's own first-boot data do. Several kinds of data in one are a MIME archive
(https://docs.cloud-init.io, "User-data formats"); the person's part stands in it verbatim.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cloudms.errors import Invalid
from cloudms.model import Vm
from cloudms.units import size

TAG = "cms:expires"
"""The tag (or metadata) of an instance that says when its lease ends: epoch seconds, or `never`."""
GUARD = "cms:protected"
"""The tag (or metadata) of an instance that holds its lease, unless it is empty, `no`, `false` or 0."""
LIMIT = 16384
"""Bytes that EC2 takes as user data, before base64
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html)."""

Source = Literal["file", "aws", "openstack"]

_KINDS = (
    ("#!", "text/x-shellscript"),
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("#cloud-config", "text/cloud-config"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#include-once", "text/x-include-once-url"),
    ("#include", "text/x-include-url"),
    ("#upstart-job", "text/upstart-job"),
    ("#part-handler", "text/part-handler"),
    ("## template: jinja", "text/jinja2"),
)
"""First words of a part and its type, the longer of two that begin alike first."""
_ARCHIVE = ("content-type:", "mime-version:")
_NO_CLOUD_INIT = ("<powershell", "<script", "<persist", "version: 1.0", "{")
"""How data for Windows (EC2Launch) and for Ignition begin, which no POSIX timer can join."""


def end_of(vm: Vm) -> float | None:
    """Return when a VM's guest is to end itself (epoch seconds), or None: never, or not while it is protected."""
    return None if vm.protected else vm.expires


def with_timer(user_data: str, expires: float | None, *, source: Source = "file", stamp: float = 0.0) -> str:
    """Return first-boot data that do what `user_data` says and end the guest at `expires`; without an end, unchanged.

    Parameters: `expires`, epoch seconds; `source`, where the guest looks for a later end (`file`: /var/lib/cms/lease;
    `aws`, `openstack`: the tags or metadata of the instance, then the file); `stamp`, epoch seconds of the order, which
    later ones overrule.
    Data that is not for cloud-init (Windows, Ignition) is returned unchanged. The same request gives the same text,
    since a client token of EC2 holds for one text only.
    """
    plain = user_data.lstrip().lower()
    if not expires or plain.startswith(_NO_CLOUD_INIT):
        return user_data
    ours = hook(expires, source=source, stamp=stamp)
    return archive([user_data, ours]) if plain else ours


def hook(expires: float | None, *, source: Source = "file", stamp: float = 0.0) -> str:
    """Return the boothook that installs the timer and sets its end; also a plain script to be run by root at any time.

    Parameters: as `with_timer`; an `expires` of None sets it to never.
    """
    said = dict.fromkeys(("@CLOUD@", "@TAG@", "@GUARD@"), "")
    if source != "file":
        said = {"@CLOUD@": source, "@TAG@": TAG, "@GUARD@": GUARD}
    script = (Path(__file__).parent / "lease.sh").read_text()
    for mark, value in said.items():
        script = script.replace(mark, value)
    return (
        "#cloud-boothook\n#!/bin/sh\numask 022\n"
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        "mkdir -p /usr/local/sbin\n"
        f"cat >/usr/local/sbin/cms-lease.new <<'END-OF-CMS-LEASE'\n{script}END-OF-CMS-LEASE\n"
        "chmod 755 /usr/local/sbin/cms-lease.new && mv /usr/local/sbin/cms-lease.new /usr/local/sbin/cms-lease &&\n"
        f"    exec /usr/local/sbin/cms-lease set {int(expires or 0)} {int(stamp)}\n"
    )


def packed(user_data: str, limit: int = LIMIT) -> str | bytes:
    """Return first-boot data as they are when they fit into `limit` bytes, else compressed by gzip.

    Raises: Invalid, with the numbers.
    """
    plain = user_data.encode()
    if len(plain) <= limit:
        return user_data
    import gzip

    small = gzip.compress(plain, mtime=0)
    if len(small) <= limit:
        return small
    raise Invalid(
        f"the user data has {size(len(plain))}, compressed {size(len(small))}; {size(limit)} is the most",
        hint="put the bulk where the guest can fetch it, and #include its address",
    )


def archive(parts: Sequence[str]) -> str:
    """Return the parts as one MIME archive; one that is an archive itself stands in it as it is."""
    boundary = _boundary(parts)
    joined = "".join(f"--{boundary}\n{_entity(part)}\n" for part in parts)
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n\n'
    return f"{head}{joined}--{boundary}--\n"


def _entity(part: str) -> str:
    begin = part.lstrip().lower()
    if begin.startswith(_ARCHIVE):
        return part.lstrip()
    kind = next((kind for words, kind in _KINDS if begin.startswith(words)), "text/plain")
    return f'Content-Type: {kind}; charset="utf-8"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n{part}'


def _boundary(parts: Sequence[str]) -> str:
    """Return a boundary that no part contains, the same for the same parts."""
    number = 0
    while any(f"cms-part-{number}" in part for part in parts):
        number += 1
    return f"cms-part-{number}"
