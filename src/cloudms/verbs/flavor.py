"""Sizes of VMs that the clouds offer, with prices where they have them."""

from __future__ import annotations

from typing import Annotated

from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import browse
from cloudms.model import Flavor
from cloudms.verb import Doc, verb
from cloudms.verbs.vm.look import Cached, CloudName, Refresh


@verb("flavor", "list", columns=Flavor.columns, example="cms flavor list --cloud fake")
def list_(
    ctx: Context,
    words: Annotated[list[str], Doc("only flavors in which all these words occur")] = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    limit: Annotated[int, Doc("at most so many; 0 shows all")] = 0,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the sizes a VM can have, the smallest of each cloud first."""
    listing = browse(
        ctx,
        "flavor",
        lambda opened: opened.list_flavors(),
        cloud=cloud or "",
        cached=cached,
        refresh=refresh,
        find={"text": " ".join(words)},
    )
    flavors = sorted((item for item in listing.items if isinstance(item, Flavor)), key=_size)
    return listing.with_(items=tuple(flavors[:limit] if limit > 0 else flavors))


def _size(flavor: Flavor) -> tuple[str, int, int, int, str]:
    return flavor.cloud, flavor.vcpus, flavor.memory_mib, flavor.disk_gib, flavor.name
