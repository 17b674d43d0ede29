"""The `micro-slurm` image: `micro` with slurmd, munge and Slurm's commands, a compute node that boots in seconds.

Key and configuration of a cluster are not in it; they come over SSH, see `cloudms.cluster.node`.
"""

from __future__ import annotations

from dataclasses import replace

from cloudms.images import micro
from cloudms.images.recipe import Cooked, Kitchen, guest_list
from cloudms.images.tree import Tree

NAME = "micro-slurm"
_WITHOUT = guest_list(NAME, "without-files.txt")


def cook(kitchen: Kitchen) -> Cooked:
    """Build the image's files in the kitchen's folder."""
    return micro.cook_as(RECIPE, kitchen, without=_WITHOUT, finish=_finish)


def _finish(tree: Tree) -> None:
    """Make what the packages would make at installation: Debian's alternatives, the folders of the daemons."""
    for name in ("slurmd", "slurmstepd"):
        tree.symlink(f"usr/sbin/{name}", f"{name}-wlm")
    for folder in ("etc/munge", "var/lib/munge", "var/log/munge"):
        tree.mkdir(folder, mode=0o700)
    for folder in ("etc/slurm", "var/log/slurm", "var/spool/slurmd"):
        tree.mkdir(folder)


RECIPE = replace(
    micro.RECIPE,
    name=NAME,
    os="cloudms micro with Slurm (Debian 12 packages)",
    min_memory_mib=160,
    packages=(*micro.RECIPE.packages, *guest_list(NAME, "packages.txt")),
    cook=cook,
    base="micro",
)
