"""Places where VMs can stand: regions, zones, hosts."""

from __future__ import annotations

from cloudms.clouds.base import Locations
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import browse
from cloudms.model import Location
from cloudms.verb import verb
from cloudms.verbs.vm.look import Cached, CloudName, Refresh


@verb("location", "list", columns=Location.columns, example="cms location list --cloud fake")
def list_(ctx: Context, *, cloud: CloudName = None, cached: Cached = False, refresh: Refresh = False) -> Listing:
    """List the regions, zones or hosts of the clouds that have more than one."""
    return browse(
        ctx,
        "location",
        lambda opened: opened.list_locations(),
        cloud=cloud or "",
        role=Locations,
        cached=cached,
        refresh=refresh,
    )
