"""The ancestors' calls on every cloud that is there: each works where the cloud has the role, else it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cloudms.api import Cms
from cloudms.clouds.base import Addresses, Deallocate, Power, Reboot, Rebuild, Rename, Resize, Role, Suspend
from cloudms.errors import NotFound, Unsupported
from cloudms.model import Vm
from tests.images import provide
from tests.live import several
from tests.live.aws import IMAGE
from tests.live.openstack import cms as openstack

KINDS = (
    pytest.param("local", marks=pytest.mark.live),
    pytest.param("aws", marks=pytest.mark.services),
    pytest.param("openstack", marks=pytest.mark.services),
)
IMAGES = {"local": "micro", "aws": IMAGE, "openstack": openstack.IMAGE}
LARGER = {"local": "small", "aws": "t3.small", "openstack": "m1.small"}
pytestmark = pytest.mark.live


class Program:
    """A program in the ancestors' words, with one VM on one cloud."""

    def __init__(self, cms: Cms, cloud: str, name: str) -> None:
        self.cms = cms
        self.cloud = cloud
        self.name = name
        self.calls = cms.vm

    @property
    def vm(self) -> Vm:
        """Return the VM as it is now."""
        found: Vm = self.calls.info(self.name)
        return found

    def does(self, role: type[Role], call: str, *arguments: Any, **options: Any) -> Vm | None:
        """Return the VM after a call, or None when its cloud refuses it, as it must without the role."""
        lacks = self.cms.context.cloud(self.cloud).supports(role, self.vm)
        make: Callable[..., Any] = getattr(self.calls, call)
        if lacks:
            with pytest.raises(Unsupported):
                make(*arguments, **options).result()
            return None
        (vm,) = make(*arguments, **options).result(timeout=300)
        assert isinstance(vm, Vm)
        return vm


@pytest.fixture(params=KINDS)
def program(request: pytest.FixtureRequest, own_home: Path) -> Iterator[Program]:
    """Return a program with a running VM."""
    cloud: str = request.param
    with ExitStack() as stack:
        clouds: dict[str, Any] = {"local": {"cm": {"kind": "libvirt", "active": cloud == "local"}}}
        if cloud == "local":
            provide("micro", own_home)
        elif cloud == "aws":
            clouds |= {"aws": request.getfixturevalue("aws").settings()}
        else:
            clouds |= {"openstack": openstack.settings(stack.enter_context(several.openstack())[1])}
        folder = own_home / ".cloudmesh"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "cloudmesh.yaml").touch(mode=0o600)
        (folder / "cloudmesh.yaml").write_text(json.dumps({"cloudmesh": {"cloud": clouds}}))
        name = f"older-{cloud}-{own_home.parent.name[-8:]}".replace("_", "-").lower()
        cms = stack.enter_context(Cms(cloud=cloud))
        stack.callback(lambda: cms.vm.delete([name, f"{name}-new"], missing_ok=True).result(timeout=300))
        cms.vm.create(IMAGES[cloud], vm_name=name, ttl="1h", wait="running").result(timeout=300)
        yield Program(cms, cloud, name)


def test_every_call_works_where_the_cloud_has_the_role(program: Program) -> None:
    name, calls = program.name, program.calls
    assert name in [vm.name for vm in calls.list()]
    assert [vm.state for vm in calls.status(name)] == ["running"]
    assert calls.info(name).cloud == program.cloud

    assert program.does(Addresses, "set_public_ip", name, "")
    addresses = calls.get_public_ips(name)
    assert addresses
    after = program.does(Addresses, "remove_public_ip", name) if len(addresses) == 1 else None
    assert after is None or calls.get_public_ips(name) == after.public_ips

    if program.does(Suspend, "suspend", name):
        assert program.does(Suspend, "resume", name)
    assert program.does(Reboot, "reboot", name)
    stopped = program.does(Power, "stop", name)
    assert stopped
    assert stopped.state in ("stopped", "deallocated")
    assert program.does(Power, "start", vm_name=name)
    if program.does(Deallocate, "stop", name, True):
        assert program.does(Power, "start", name)
    assert program.vm.state == "running"


def test_another_size_name_and_disk(program: Program) -> None:
    name, before = program.name, program.vm.flavor
    program.does(Power, "stop", name)
    resized = program.does(Resize, "resize", name, LARGER[program.cloud])
    assert resized
    assert program.does(Resize, "revert", name)
    assert program.vm.flavor == before
    assert program.does(Resize, "resize", vm_name=name, size=LARGER[program.cloud])
    assert program.does(Resize, "confirm_resize", name)
    assert program.vm.flavor == LARGER[program.cloud]
    program.does(Power, "stop", name)
    assert program.does(Rename, "rename", name, f"{name}-new")
    program.name = f"{name}-new"
    assert program.does(Power, "start", program.name)
    assert program.does(Rebuild, "rebuild", program.name, IMAGES[program.cloud])
    program.calls.destroy(program.name).result(timeout=300)
    with pytest.raises(NotFound):
        program.calls.info(program.name)
