"""First-boot data of an instance: its number in the request and the end of its lease come from EC2's metadata."""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.clouds import firstboot
from cloudms.clouds.firstboot import FirstBoot, mergeable


def data(
    given: str, hostnames: Sequence[str], keys: Sequence[str], expires: float | None, *, cloud_init: bool = True
) -> FirstBoot:
    """Return the first-boot data of the VMs of one request (`clouds.firstboot.data`)."""
    return firstboot.data(given, hostnames, keys, expires, source="aws", cloud_init=cloud_init)


__all__ = ["FirstBoot", "data", "mergeable"]
