"""A Slurm whose nodes are VMs, or one that is elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cloudms.model.things import Noun


class Cluster(Noun):
    """A Slurm whose compute nodes are VMs that come and go with its queue, or with `ssh` one that is elsewhere.

    `pools` has for each cloud what its nodes are booted from, how big they are and how they are called; `cloud`,
    `image` and `flavor` name the same, `max` how many nodes there can be at most. `idle` are the seconds after which a
    node without work is deleted, `boot_timeout` those that one has to come up, `ttl` the lease of each (empty: that of
    its cloud). `port` is where the controller listens, `node_port` where the nodes do, `address` the address at which
    nodes elsewhere reach it; `ssh_key` is the private file of the key that leads to `ssh`, where one was named.
    `config` is what SLURM_CONF has to name, `folder` where all its files are. `state` is running, stopped, or why it
    does not answer; `nodes` and `jobs` count by state, `vain` tells of nodes that did not come up lately.
    """

    kind: ClassVar[str] = "cluster"
    columns: ClassVar[tuple[str, ...]] = (
        "name", "state", "cloud", "image", "flavor", "max", "nodes", "jobs", "created",
    )  # fmt: skip

    state: str = ""
    image: str = ""
    flavor: str = ""
    max: int = 0
    nodes: Mapping[str, int] = {}
    jobs: Mapping[str, int] = {}
    vain: Mapping[str, str] = {}
    pools: tuple[Mapping[str, Any], ...] = ()
    idle: float = 0.0
    boot_timeout: float = 0.0
    ttl: str = ""
    port: int = 0
    node_port: int = 0
    address: str = ""
    ssh: str = ""
    ssh_key: str = ""
    config: str = ""
    folder: str = ""
    owner: str = ""
    created: float | None = None

    def __post_init__(self) -> None:
        """Accept plain JSON values for the pools."""
        self.__dict__["pools"] = tuple(dict(pool) for pool in self.pools)

    @property
    def key(self) -> str:
        """Return the catalog key: clusters are not on any one cloud."""
        return self.name
