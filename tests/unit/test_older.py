"""The ancestors' calls: every method that their documentation lists, its parameters in their order and by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms import ancestors
from cloudms.api import Cms, Handle
from cloudms.clock import ManualClock
from cloudms.doors.parse import parse
from cloudms.model import Flavor, Image, Vm
from cloudms.older import CALLS, COMMANDS
from cloudms.registry import index
from cloudms.verb import parameters

DOCUMENTED = {
    "start": ["vm_name"],
    "stop": ["vm_name", "deallocate"],
    "resume": ["vm_name"],
    "suspend": ["vm_name"],
    "destroy": ["vm_name"],
    "list": [],
    "status": ["vm_name"],
    "info": ["vm_name"],
    "get_public_ips": ["vm_name"],
    "set_public_ip": ["vm_name", "public_ip"],
    "remove_public_ip": ["vm_name"],
    "resize": ["vm_name", "size"],
    "confirm_resize": ["vm_name"],
    "revert": ["vm_name"],
    "rename": ["vm_name", "newname"],
    "rebuild": ["vm_name", "image"],
}
"""The methods of `Vm.py` and `VmRefactor.py` as they are printed."""

CONFIG = """\
cloudmesh:
  default: {cloud: lab}
  cloud:
    lab:
      cm: {active: true, kind: fake}
      default: {image: micro, flavor: small, ttl: never}
    local: {cm: {active: false, kind: fake}}
"""


@pytest.fixture
def cms(own_home: Path) -> Iterator[Cms]:
    """Return the façade over one pretended cloud, with a VM `web` that runs."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    with Cms(clock=ManualClock()) as found:
        found.vm.create(vm_name="web").result(timeout=60)
        yield found


def done(handle: Handle) -> Vm:
    """Return the one VM that a change leaves."""
    (vm,) = handle.result(timeout=60)
    assert isinstance(vm, Vm)
    return vm


@pytest.mark.parametrize("call", DOCUMENTED)
def test_every_documented_method_has_its_parameters_in_their_order(call: str) -> None:
    older = CALLS.get(("vm", call))
    assert list(older.parameters if older else {}) == DOCUMENTED[call]


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_the_table_names_verbs_and_parameters_that_there_are(words: tuple[str, ...]) -> None:
    call = CALLS[words]
    entry = index().exact(list(call.verb))
    assert entry
    known = {parameter.name for parameter in parameters(entry.load())}
    assert {*call.parameters.values(), *call.also.values()} <= known
    assert not call.gives or call.gives in Vm.field_names()


def test_power(cms: Cms) -> None:
    assert done(cms.vm.stop("web")).state == "stopped"
    assert done(cms.vm.start("web")).state == "running"
    assert done(cms.vm.stop("web", True)).state == "deallocated"
    assert done(cms.vm.start(vm_name="web")).state == "running"
    assert done(cms.vm.stop("web", deallocate=False)).state == "stopped"
    assert done(cms.vm.start("web")).state == "running"
    assert done(cms.vm.suspend("web")).state == "suspended"
    assert done(cms.vm.resume(vm_name="web")).state == "running"
    assert done(cms.vm.reboot("web")).state == "running"


def test_looking(cms: Cms) -> None:
    assert [vm.name for vm in cms.vm.list()] == ["web"]
    assert [vm.state for vm in cms.vm.status("web")] == ["running"]
    assert [vm.name for vm in cms.vm.status(vm_name="web")] == ["web"]
    assert cms.vm.info("web").image == cms.vm.info(vm_name="web").image == "micro"


def test_public_addresses(cms: Cms) -> None:
    assert cms.vm.get_public_ips("web") == ()
    given = done(cms.vm.set_public_ip("web", "")).public_ips
    assert len(given) == 1
    assert cms.vm.get_public_ips(vm_name="web") == given
    assert done(cms.vm.remove_public_ip("web")).public_ips == ()
    again = done(cms.vm.set_public_ip(vm_name="web", public_ip=given[0]))
    assert again.public_ips == given
    assert done(cms.vm.remove_public_ip(vm_name="web")).public_ips == ()


def test_refactoring(cms: Cms) -> None:
    done(cms.vm.resize("web", "medium"))
    assert done(cms.vm.confirm_resize("web")).flavor == "medium"
    size = next(flavor for flavor in cms.flavor.list() if flavor.name == "large")
    assert isinstance(size, Flavor)
    done(cms.vm.resize(vm_name="web", size=size))
    assert done(cms.vm.revert("web")).flavor == "medium"
    done(cms.vm.stop("web"))
    assert done(cms.vm.rename("web", "front")).name == "front"
    assert done(cms.vm.rename(vm_name="front", newname="web")).name == "web"
    assert done(cms.vm.rename(vm_name="web", new_name="front")).name == "front"
    image = next(each for each in cms.image.list() if each.name == "debian")
    assert isinstance(image, Image)
    assert done(cms.vm.rebuild("front", image)).image == "debian"
    assert done(cms.vm.rebuild(vm_name="front", image="micro")).image == "micro"


def test_the_end(cms: Cms) -> None:
    assert cms.vm.destroy("web", dry_run=True).steps[0].target == "web"
    cms.vm.destroy(vm_name="web").result(timeout=60)
    assert cms.vm.list() == []


def test_creating_in_their_words(cms: Cms) -> None:
    vm = done(cms.vm.create("debian", vm_name="db", size="medium"))
    assert (vm.name, vm.image, vm.flavor) == ("db", "debian", "medium")
    assert done(cms.vm.create()).image == "micro"


@pytest.mark.parametrize(
    ("arguments", "options"),
    [(("web", "web"), {}), (("web",), {"vm_name": "web"}), ((), {"vm_name": "web", "names": "web"}), ((), {"what": 1})],
)
def test_wrong_calls_are_type_errors(cms: Cms, arguments: tuple[str, ...], options: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        cms.vm.start(*arguments, **options)


def test_editors_see_them(cms: Cms) -> None:
    assert set(DOCUMENTED) <= set(dir(cms.vm))
    assert set(dir(cms)) >= {"vm", "image"}


def test_their_class_waits(cms: Cms) -> None:
    vm = ancestors.Vm("lab")
    vm.cms = cms
    assert vm.stop("web").state == "stopped"
    assert vm.start("web").state == "running"
    assert [each.name for each in vm.list()] == ["web"]
    assert vm.get_public_ips("web") == ()
    assert set(DOCUMENTED) <= set(dir(vm))
    with pytest.raises(AttributeError):
        vm.fly("web")
    assert issubclass(ancestors.VmRefactor, ancestors.Vm)


PROGRAM = """
import cloudms.ancestors
from cloudmesh.cloud.configuration.config import Config
config = Config().data["cloudmesh"]
MONGO_HOST = config["data.mongo.MONGO_HOST"]
from cloudmesh.cloud.configuration.counter import Counter
counter = Counter()
from cloudmesh.vm.Vm import Vm
from cloudmesh.vm.VmRefactor import VmRefactor
print(MONGO_HOST, counter.incr(), Vm.__name__, VmRefactor.__name__)
"""


def test_their_imports_work_as_printed(own_home: Path) -> None:
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {data: {mongo: {MONGO_HOST: 127.0.0.1}}}\n")
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["127.0.0.1", "1", "Vm", "VmRefactor"]


def test_a_cloudmesh_that_is_installed_goes_first(own_home: Path, tmp_path: Path) -> None:
    package = tmp_path / "site" / "cloudmesh"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("theirs = True\n")
    code = "import cloudms.ancestors, cloudmesh; print(cloudmesh.theirs)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path / "site"
    )
    assert ran.stdout.split() == ["True"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_with_other_words_are_found(words: tuple[str, ...]) -> None:
    entry, rest = index().find([*words, "web"])
    assert (entry.path, rest) == (COMMANDS[words], ["web"])


@pytest.mark.parametrize("given", [["--vms=web,db"], ["--vms", "web,db"], ["web,db"]])
def test_names_may_be_given_as_cm4_had_them(given: list[str]) -> None:
    entry = index().exact(["vm", "destroy"])
    assert entry
    assert parse(entry.load(), given).values == {"names": ["web,db"]}


def test_the_public_address_is_asked_for_as_in_cm4() -> None:
    entry, rest = index().find(["vm", "publicip", "--vms=web"])
    assert parse(entry.load(), rest).values == {"name": "web"}
