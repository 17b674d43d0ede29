"""Clouds of clouds.yaml, which need no entry of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cloudms.catalog.memory import MemoryCatalog
from cloudms.config import Config, origin
from cloudms.context import Context
from cloudms.doors.completion import candidates
from cloudms.errors import NotFound
from tests.unit.calling import calling

CLOUDS = """\
clouds:
  kvm:
    auth: {auth_url: "https://kvm.example.org:5000/v3", username: ada, password: native-hunter2, project_name: cs}
    region_name: KVM@TACC
  jetstream2: {auth_type: v3applicationcredential, auth: {auth_url: "https://js2.example.org:5000/v3"}}
  local: {auth: {auth_url: "https://never.example.org"}}
"""


@pytest.fixture
def file(own_home: Path) -> Path:
    """Return ~/.config/openstack/clouds.yaml with two clouds and one whose name is taken."""
    found = own_home / ".config" / "openstack" / "clouds.yaml"
    found.parent.mkdir(parents=True)
    found.write_text(CLOUDS)
    return found


def test_they_are_reached_by_name_without_an_entry(folder: Path, file: Path) -> None:
    cloud = Config().cloud("kvm")
    assert (cloud.name, cloud.kind, cloud.active, dict(cloud.options)) == ("kvm", "openstack", True, {"cloud": "kvm"})
    assert "hunter2" not in repr(Config().natives())
    assert origin.origins(cloud, os.environ) == {"cloud": f"cloud 'kvm' of {file}"}


def test_they_stand_in_no_list_and_what_is_configured_goes_first(folder: Path, file: Path) -> None:
    assert [cloud.name for cloud in Config().clouds()] == ["local"]
    assert Config().cloud("local").kind == "libvirt"
    assert list(Config().natives().clouds) == ["kvm", "jetstream2"]
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {cloud: {kvm: {cm: {kind: aws}}}}\n")
    assert Config().cloud("kvm").kind == "aws"


def test_a_wrong_name_names_the_nearest_of_all(folder: Path, file: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Config().cloud("kvmm")
    assert caught.value.hint == "did you mean kvm? clouds: local, kvm, jetstream2"


def test_defaults_are_set_as_for_any_cloud(folder: Path, file: Path) -> None:
    config = Config()
    config.put(config.key_for("image", "kvm"), "CC-Ubuntu22.04")
    config.put("cloud", "kvm")
    assert config.cloud("kvm").default["image"] == "CC-Ubuntu22.04"
    assert Config().default_cloud() == "kvm"
    assert Config().cloud().options["cloud"] == "kvm"


def test_the_file_may_say_that_one_is_the_default(folder: Path, file: Path) -> None:
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {default: {cloud: jetstream2}}\n")
    assert Config().default_cloud() == "jetstream2"
    assert not [finding for finding in Config().check() if "default cloud" in finding.message]
    file.unlink()
    assert Config().default_cloud() == "local"
    assert [finding for finding in Config().check() if "the default cloud jetstream2 is not" in finding.message]


def test_the_file_is_not_read_unless_it_is_asked_for(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudms.cloudsyaml._read", lambda _file: pytest.fail("clouds.yaml is read"))
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {default: {cloud: lab}, cloud: {lab: {cm: {kind: fake}}}}\n")
    config = Config()
    assert config.cloud().name == "lab"
    assert config.cloud("fake").kind == "fake"
    assert [cloud.name for cloud in config.clouds()] == ["lab", "local"]
    assert not config.outdated


def test_a_changed_file_is_read_anew(folder: Path, file: Path) -> None:
    config = Config()
    assert config.cloud("kvm")
    assert not config.outdated
    file.write_text(CLOUDS.replace("kvm:", "kvm3:"))
    assert config.outdated


@pytest.mark.parametrize("text", ["clouds: [", "a: b", "[]", ""])
def test_a_broken_file_breaks_no_other_cloud(folder: Path, file: Path, text: str) -> None:
    file.write_text(text)
    assert Config().cloud("local").kind == "libvirt"
    with pytest.raises(NotFound) as caught:
        Config().cloud("kvm")
    assert ("clouds.yaml" in caught.value.hint) == (text == "clouds: [")


def test_they_are_unknown_where_no_openstack_can_be_opened(folder: Path, file: Path) -> None:
    with pytest.raises(NotFound):
        Config(kinds=["libvirt"]).cloud("kvm")


def test_the_file_may_stand_elsewhere(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "mine.yaml"
    other.write_text("clouds: {mine: {}}\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(other))
    assert list(Config().natives().clouds) == ["mine"]


def test_a_list_of_clouds_tells_of_them_and_completion_knows_them(folder: Path, file: Path) -> None:
    ctx = Context(catalog=MemoryCatalog(), config=Config())
    call = calling(ctx)
    assert [cloud.name for cloud in call("cloud list").items] == ["local"]
    assert ctx.notes == [
        f"{file} has kvm, jetstream2, too: --cloud NAME; cms cloud add NAME --kind openstack lists one here"
    ]
    assert call("cloud info", "kvm").origins == {"cloud": f"cloud 'kvm' of {file}"}
    assert [value for value, _text in candidates(ctx, ["vm", "list", "--cloud", "k"])] == ["kvm"]
    assert [value for value, _text in candidates(ctx, ["vm", "boot", "--cloud", "local,j"])] == ["local,jetstream2"]
    file.write_text("clouds: [")
    other = Context(catalog=MemoryCatalog(), config=Config())
    calling(other)("cloud list")
    assert "is not YAML" in other.warnings[0]
