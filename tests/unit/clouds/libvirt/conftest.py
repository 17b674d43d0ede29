"""The whole cloud on libvirt's own pretended hypervisor (test:///default): no guest, no agent, no monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.base import Setup
from cloudms.clouds.libvirt import core
from cloudms.clouds.libvirt.core import uuid_of
from cloudms.clouds.libvirt.driver import LibvirtCloud
from cloudms.clouds.libvirt.tags import Tags
from cloudms.model import Vm

OWNER = "ada@lab"
TOKEN = "abcd1234"


@pytest.fixture
def cloud(clock: ManualClock) -> Iterator[LibvirtCloud]:
    """Return the cloud on the pretended hypervisor; what a test defines there goes with it."""
    opened = LibvirtCloud(Setup(name="pretend", owner=OWNER, options={"uri": "test:///default"}, clock=clock))
    yield opened
    for domain in opened.domains():
        if domain.name() != "test":
            opened.switch_off(domain)
            for snapshot in domain.listAllSnapshots(0):
                snapshot.delete(0)
            domain.undefine()
    opened.close()


@pytest.fixture
def define(cloud: LibvirtCloud) -> Callable[..., Vm]:
    """Return a function that defines a domain with our tags and returns its noun."""

    def make(name: str = "own", **tags: Any) -> Vm:
        own = Tags(**{"token": TOKEN, "owner": OWNER, "image": "micro", "flavor": "tiny", **tags})
        root = core.describe.parse(
            f"<domain type='test'><name>{name}</name><uuid>{uuid_of(own.token)}</uuid><memory unit='MiB'>512</memory>"
            "<currentMemory unit='MiB'>256</currentMemory><vcpu current='1'>2</vcpu><os><type>hvm</type></os></domain>"
        )
        return cloud.show(cloud.redefine(root, own))

    return make
