"""Which file is read, the layers above it, clouds, aliases and names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.config import Config, Tree
from cloudms.config.files import Lock
from cloudms.errors import ConfigError, Conflict, Invalid, NotFound
from tests.unit.config.sample import LAB, write


def test_without_a_file_there_is_local(folder: Path) -> None:
    config = Config()
    assert config.path is None
    assert [(cloud.name, cloud.kind, cloud.active) for cloud in config.clouds()] == [("local", "libvirt", True)]
    assert config.cloud().name == config.default_cloud() == "local"
    assert config.data == {"cloudmesh": {}}
    assert config.warnings == []
    assert config.masked() == {}
    assert not (folder / "cache").exists()
    assert [finding.level for finding in config.check()] == ["info"]


def test_which_file_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    older = write(folder, "cloudmesh: {profile: {user: cm4}}\n", "cloudmesh4.yaml")
    assert (Config().path, Config().get("profile.user")) == (older, "cm4")
    newer = write(folder, "cloudmesh: {profile: {user: v4}}\n")
    assert (Config().path, Config().get("profile.user")) == (newer, "v4")
    assert any("cloudmesh4.yaml is not read" in finding.message for finding in Config().check())
    chosen = write(tmp_path, "cloudmesh: {profile: {user: chosen}}\n", "mine.yaml")
    monkeypatch.setenv("CLOUDMESH_CONFIG", str(chosen))
    assert (Config().path, Config().get("profile.user")) == (chosen, "chosen")
    assert Config(newer).get("profile.user") == "v4"


def test_the_ancestors_way(folder: Path) -> None:
    write(folder, "cloudmesh:\n  data:\n    mongo:\n      MONGO_HOST: 127.0.0.1\n      MONGO_PASSWORD: pw\n")
    config = Config().data["cloudmesh"]
    assert config["data.mongo.MONGO_HOST"] == config["data"]["mongo"]["MONGO_HOST"] == "127.0.0.1"
    assert config["data"]["mongo.MONGO_HOST"] == config.get("data.mongo.MONGO_HOST") == "127.0.0.1"
    assert "data.mongo.MONGO_HOST" in config
    assert "data.mongo.MONGO_HOTS" not in config
    assert config.get("nothing.at.all", 5) == 5
    assert config["data.mongo.MONGO_PASSWORD"].reveal() == "pw"
    with pytest.raises(KeyError) as caught:
        config["data.mongo.MONGO_HOTS"]
    assert "did you mean 'data.mongo.MONGO_HOST'?" in str(caught.value)
    assert Config()["cloudmesh.data.mongo.MONGO_HOST"] == Config()["data.mongo.MONGO_HOST"]


def test_keys_with_dots(folder: Path) -> None:
    write(folder, LAB)
    config = Config()
    assert config.get("a.b.c.d") == config["a.b.c.d"] == config.data["cloudmesh"]["a.b"]["c.d"] == 1
    assert Tree({"a": Tree({"b": 1}), "a.b": 2})["a.b"] == 2
    with pytest.raises(KeyError, match=r"no 'a\.b\.x'"):
        config["a.b.x"]


def test_layers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    assert (config.get("refresh"), config.source("refresh"), config.flag("refresh")) == ("on", "built in", True)
    file = write(folder, LAB + "  refresh: on\n")
    config = Config()
    assert (config.get("refresh"), config.source("refresh"), config.flag("refresh")) == ("on", str(file), True)
    config.put("refresh", "no")
    assert (config.get("refresh"), config.source("refresh"), config.flag("refresh")) == ("no", "cms set", False)
    monkeypatch.setenv("CLOUDMS_REFRESH", "ON")
    assert (config.get("refresh"), config.source("refresh"), config.flag("refresh")) == ("ON", "CLOUDMS_REFRESH", True)
    monkeypatch.delenv("CLOUDMS_REFRESH")
    config.drop("refresh")
    assert Config().source("refresh") == str(file)
    assert (config.get("nothing"), config.get("nothing", 1), config.source("nothing")) == (None, 1, "")


def test_default_cloud(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, LAB)
    assert Config().default_cloud() == "lab"
    Config().put("cloud", "off")
    assert Config().default_cloud() == Config().cloud().name == Config().get("cloud") == "off"
    monkeypatch.setenv("CLOUDMS_DEFAULT_CLOUD", "local")
    assert Config().default_cloud() == "local"


@pytest.mark.parametrize("wanted", ["off", "missing", "TBD", "''"])
def test_an_unusable_default_cloud_is_not_used(wanted: str, folder: Path) -> None:
    write(folder, LAB.replace("cloud: lab", f"cloud: {wanted}"))
    assert Config().default_cloud() == "local"


def test_a_kind_that_cannot_be_opened(folder: Path) -> None:
    write(folder, LAB)
    config = Config(kinds=("fake",))
    assert (config.cloud("lab").state, config.cloud("lab").active, config.default_cloud()) == (
        "unsupported",
        False,
        "local",
    )


def test_defaults_of_a_cloud(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, LAB)
    config = Config()
    assert config.key_for("image") == "cloud.lab.default.image"
    assert config.key_for("image", "off") == "cloud.off.default.image"
    assert (config.key_for("cloud"), config.key_for("cloudmesh.a.b")) == ("default.cloud", "a.b")
    assert config.get("cloud.lab.default.flavor") == "small"
    config.put("flavor", "large")
    config.put("cloud.off.default.image", "x")
    assert config.cloud("lab").default == {"image": "debian-12", "size": "large", "flavor": "large"}
    assert config.cloud("off").default == {"image": "x"}
    monkeypatch.setenv("CLOUDMS_CLOUD_LAB_DEFAULT_IMAGE", "from-env")
    assert Config().cloud("lab").default["image"] == Config().get("cloud.lab.default.image") == "from-env"


def test_clouds_by_name(folder: Path) -> None:
    write(folder, LAB)
    config = Config()
    assert [cloud.name for cloud in config.clouds()] == ["lab", "off", "local"]
    assert config.cloud("fake").kind == "fake"
    Config().put("cloud.fake.default.image", "micro")
    assert Config().cloud("fake").default["image"] == "micro"
    with pytest.raises(NotFound) as caught:
        config.cloud("labb")
    assert caught.value.hint == "did you mean lab? clouds: lab, off, local"


def test_settings_are_private_and_shared(folder: Path) -> None:
    Config().put("default.cloud", "lab")
    file = folder / "settings.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text()) == {"version": 1, "values": {"default.cloud": "lab"}}


@pytest.mark.parametrize(
    "key", ["", ".", "a..b", "a.", "a b", "1a", "a=b", "cloud.aws.credentials.EC2_SECRET_KEY", "x.password"]
)
def test_settings_refuse(key: str, folder: Path) -> None:
    with pytest.raises(Invalid) as caught:
        Config().put(key, "s3cr3t")
    assert caught.value.hint
    assert "s3cr3t" not in str(caught.value.to_public())
    assert not (folder / "settings.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"values": []}', '{"values": {"a": [1]}}', "\n\n{x"])
def test_broken_settings(text: str, folder: Path) -> None:
    (folder / "settings.json").write_text(text)
    with pytest.raises(ConfigError, match=r"settings\.json:\d+: this is not what"):
        Config().get("refresh")
    assert Config().check()[0].level == "error"


def test_two_writers_of_settings_wait_for_each_other(folder: Path) -> None:
    clock = ManualClock()
    with Lock(folder / "settings.json", clock), pytest.raises(Conflict, match="another process"):
        Config(clock=clock).put("refresh", "on")
    assert sum(clock.slept) >= 10
    Config(clock=clock).put("refresh", "on")


def test_aliases(folder: Path) -> None:
    assert Config().aliases() == {"newawsvm": "aws vm"}
    assert Config().base_name("newawsvm") == "test_cloudmesh00"
    assert Config().base_name("other") == ""
    write(folder, "cloudmesh:\n  alias: {newawsvm: vm, up: vm boot, odd: [1], none: TBD}\n")
    Config().put("alias.down", "vm delete")
    assert Config().aliases() == {"newawsvm": "vm", "up": "vm boot", "down": "vm delete"}


def test_naming(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "eve")
    pattern, values = Config().naming("aws")
    assert pattern == "{user}-{cloud}-{counter}"
    assert values == {"user": "eve", "kind": "vm", "cloud": "aws", "group": "cloudmesh", "experiment": "base"}
    (folder / "name.yaml").write_text("counter: 4\nuser: $USER\nkind: vm\nschema: '{user}-{kind}-{counter}'\n")
    assert Config().naming()[0] == "{user}-{kind}-{counter}"
    write(folder, LAB)
    assert Config().naming()[1]["user"] == "ada-lovelace"
    assert Config().naming()[1]["group"] == "g1"
    Config().put("name.schema", "{group}-{counter:03}")
    assert Config().naming()[0] == "{group}-{counter:03}"
