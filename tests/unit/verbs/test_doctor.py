"""The doctor: says what is wrong with a hint, repairs what is safe when told to, and fails only on failures."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from cloudms import paths, registry
from cloudms.balancers.haproxy import daemon
from cloudms.clouds.libvirt import diagnosis
from cloudms.cluster import daemons
from cloudms.context import Context
from cloudms.engine import Listing, start
from cloudms.engine.process import this_process
from cloudms.errors import Denied, NotReady
from cloudms.model import Check, CloudInfo, Cluster
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import fake

_Usage = namedtuple("_Usage", "total used free")


def checks(call: Call, **options: bool) -> tuple[dict[str, Check], NotReady | None]:
    """Return the checks by name, and the error at the end."""
    found: dict[str, Check] = {}
    try:
        for check in call("doctor", **options):
            assert check.name not in found
            found[check.name] = check
    except NotReady as error:
        return found, error
    return found, None


@pytest.fixture
def host(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> dict[str, diagnosis.Check]:
    """Make the libvirt cloud active and return what its host is said to be; `fix` makes a check ok."""
    said = {"kvm-device": diagnosis.Check("kvm-device", "fail", "no rights", hint="chgrp", fix=(("chgrp", "kvm"),))}

    def fix(check: diagnosis.Check) -> str:
        if check.name == "groups":
            raise Denied("no sudo")
        said[check.name] = diagnosis.Check(check.name, "ok", "rights are fine")
        return check.would_run

    monkeypatch.setattr(diagnosis, "diagnose", lambda uri, clock: list(said.values()))
    monkeypatch.setattr(diagnosis, "fix", fix)
    answers = tuple(CloudInfo(name=name, state="ok") for name in ("one", "two", "local"))
    monkeypatch.setattr("cloudms.verbs.doctor.check_clouds", lambda ctx, names: Listing(items=answers))
    ctx.config.set("cloud.local.cm.active", True)
    return said


def test_all_is_well(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "find", lambda: "/usr/sbin/haproxy")
    found, error = checks(call)
    assert error is None
    assert {name: check.state for name, check in found.items()} == {
        "python": "ok",
        "files": "ok",
        "config": "warn",  # the kind 'strange'
        "catalog": "ok",
        "plug-ins": "ok",
        "programs": "ok",
        "slurm": "ok",
        "disk": "ok",
        "balancers": "ok",
        "cloud strange": "warn",
        "cloud one": "ok",
        "cloud two": "ok",
    }
    assert all(check.hint for check in found.values() if check.state != "ok")


def cluster(ctx: Context, **facts: str) -> None:
    made = Cluster(name="lab", folder=str(paths.home() / "clusters" / "lab"), **facts)
    ctx.catalog.put("cluster", {made.key: made.to_document()})


def test_slurm_is_missed_by_who_needs_it_only(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "find", lambda program: None if program == "slurmctld" else f"/usr/bin/{program}")
    found, error = checks(call)
    assert error is None
    assert found["slurm"].message == "slurmctld not there, which only cms cluster create needs"
    assert found["slurm"].hint == "sudo apt-get install --no-install-recommends slurmctld"
    cluster(ctx, ssh="ada@login")
    assert checks(call)[0]["slurm"].state == "ok"
    cluster(ctx)
    found, error = checks(call)
    assert found["slurm"].state == "fail"
    assert found["slurm"].message == "slurmctld missing, which lab needs"
    assert error is not None
    assert error.message.endswith("checks failed: slurm")


def test_a_controller_that_does_not_run_is_told(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "find", lambda program: f"/usr/bin/{program}")
    cluster(ctx)
    found, error = checks(call)
    assert (found["slurm"].state, found["cluster lab"].state, error) == ("ok", "warn", None)
    assert found["cluster lab"].hint == "cms cluster start lab"
    monkeypatch.setattr(daemons, "runs", lambda place: place.folder.name == "lab")
    assert checks(call)[0]["cluster lab"].state == "ok"


def test_a_cloud_that_does_not_answer_fails_with_its_reason(ctx: Context, call: Call) -> None:
    fake(ctx, "two").add_fault("unreachable", call="reach", times=0)
    found, error = checks(call)
    assert found["cloud two"].state == "fail"
    assert "cannot be reached" in found["cloud two"].message
    assert error is not None
    assert error.exit_code == 6
    assert error.message.endswith("checks failed: cloud two")
    assert error.details == {"failed": ["cloud two"]}
    assert error.hint == found["cloud two"].hint  # nothing that --fix would mend


def test_files_that_others_can_read_are_named_and_closed(ctx: Context, call: Call) -> None:
    call("key create", "work")
    private = paths.keys() / "work"
    private.chmod(0o644)
    paths.home().chmod(0o755)
    found, error = checks(call)
    assert found["files"].state == "fail"
    assert str(private) in found["files"].message
    assert error is not None
    assert error.hint == "cms doctor --fix mends what it can"
    assert private.stat().st_mode & 0o777 == 0o644
    found, error = checks(call, fix=True)
    assert error is None
    assert (found["files"].state, found["files"].fixed) == ("ok", "took others' rights from 2 files")
    assert "repaired" in found["files"].message
    assert private.stat().st_mode & 0o777 == 0o600
    assert paths.home().stat().st_mode & 0o777 == 0o700
    assert (paths.keys() / "work.pub").stat().st_mode & 0o044


def test_a_configuration_others_can_read_fails_even_without_secrets(ctx: Context, call: Call) -> None:
    assert ctx.config.path
    ctx.config.path.chmod(0o644)
    assert checks(call)[0]["files"].state == "fail"


def test_a_broken_configuration_is_one_failed_check_after_another_not_a_crash(ctx: Context, call: Call) -> None:
    assert ctx.config.path
    ctx.config.path.write_text("cloudmesh:\n\tcloud: x\n")
    ctx._config = None
    found, error = checks(call)
    assert error is not None
    assert found["config"].state == "fail"
    assert "cloudmesh.yaml:2" in found["config"].message
    assert found["catalog"].state == "ok"
    assert (found["clouds"].state, found["clouds"].hint) == ("warn", "cms config check")
    assert error.details == {"failed": ["config"]}


def test_a_catalog_that_cannot_be_opened(own_home: Path) -> None:
    from cloudms.verbs.doctor import doctor

    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "catalog.sqlite").write_text("this is no database, but long enough to look like a file of one" * 20)
    states = {}
    with pytest.raises(NotReady, match="catalog"):
        for check in doctor(Context()):
            states[check.name] = check.state
            if check.name == "disk":
                raise NotReady("catalog" if states["catalog"] == "fail" else "it passed")


def test_interrupted_operations_are_pointed_out(ctx: Context, call: Call) -> None:
    operation = start(ctx, call("key create", "work", dry_run=True))
    dead = operation.with_(process=f"{this_process().split('/')[0]}/1/1")
    ctx.catalog.put("operation", {dead.name: dead.to_document()})
    found, error = checks(call)
    assert error is None
    assert (found["operations"].state, found["operations"].message) == ("warn", f"interrupted: {dead.name}")
    assert f"cms operation resume {dead.name}" in found["operations"].hint


def test_a_broken_plug_in_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.index().__dict__, "broken", {"mine": "ImportError: no"})
    found, error = checks(call)
    assert found["plug-in mine"].message == "ImportError: no"
    assert error is not None


def test_missing_programs_and_space(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_more: None if name == "ssh-keygen" else name)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: _Usage(10 << 30, 9 << 30, 1 << 30))
    found, _ = checks(call)
    assert (found["programs"].state, found["programs"].hint) == ("fail", "apt-get install openssh-client")
    assert found["disk"].state == "warn"
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: _Usage(10 << 30, 10 << 30, 1 << 20))
    assert checks(call)[0]["disk"].state == "fail"


def test_the_hypervisors_checks_are_asked_and_repaired(call: Call, host: dict[str, diagnosis.Check]) -> None:
    found, error = checks(call)
    assert error is not None
    assert (found["local kvm-device"].state, found["local kvm-device"].hint) == ("fail", "chgrp")
    found, error = checks(call, fix=True)
    assert error is None
    assert (found["local kvm-device"].state, found["local kvm-device"].fixed) == ("ok", "chgrp kvm")


def test_a_repair_that_fails_is_said(call: Call, host: dict[str, diagnosis.Check]) -> None:
    host["groups"] = diagnosis.Check("groups", "warn", "not a member", hint="usermod", fix=(("usermod",),))
    found, error = checks(call, fix=True)
    assert error is None
    assert found["local groups"].message == "not a member; the repair failed: no sudo"
    assert found["local groups"].fixed == ""


def test_without_fix_nothing_is_repaired(call: Call, host: dict[str, diagnosis.Check]) -> None:
    checks(call)
    assert host["kvm-device"].state == "fail"


def test_a_missing_optional_part_is_named(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.verbs.version.version", lambda ctx: {"extras": {"libvirt": False}})
    monkeypatch.setattr("cloudms.verbs.doctor._needed", lambda ctx: {"libvirt"})
    found, error = checks(call)
    assert found["extra libvirt"].hint == 'pip install "cloudms[libvirt]"'
    assert error is not None
