"""The configuration as a whole: files, layers, substitution, cache, findings, words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import ManualClock
from cloudms.config import Config, Counter, Tree
from cloudms.config.files import Lock
from cloudms.config.finding import Finding
from cloudms.errors import ConfigError, Conflict, Invalid, NotFound


@pytest.fixture
def folder(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return ~/.cloudmesh, with nothing of the house in the environment."""
    for name in [name for name in os.environ if name.startswith("CLOUDMS_")]:
        monkeypatch.delenv(name)
    found = own_home / ".cloudmesh"
    found.mkdir(mode=0o700)
    return found


def write(folder: Path, text: str, name: str = "cloudmesh.yaml") -> Path:
    """Write a configuration file, private and old enough to be cached."""
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    return file


LAB = """
cloudmesh:
  profile:
    user: ada lovelace
  default: {cloud: lab, group: g1}
  cloud:
    lab:
      cm: {kind: libvirt}
      default: {image: debian-12, size: small}
    off:
      cm: {kind: libvirt, active: false}
  a.b: {c.d: 1, e: [x, {f: 2}]}
"""


# Files


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


# Layers


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


# Substitution


def config_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    """Return the configuration of a file with `text` below cloudmesh."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return Config(write(folder, f"cloudmesh:\n{lines}"), environ=environ)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("~", None),
        ("'~'", "HOME"),
        ("~/x", "HOME/x"),
        ("a/~/x", "a/~/x"),
        ("~ada/x", "~ada/x"),
        ("'~\\.cloudmesh'", "~\\.cloudmesh"),
        ("$VAR/x", "value/x"),
        ("${VAR}x", "valuex"),
        ("$VARx", "$VARx"),
        ("$1", "$1"),
        ("cost: $", None),
        ("$NESTED", "$VAR {cloudmesh.word}"),
        ("'.'", "CWD"),
        (".", "CWD"),
        ("./x", "./x"),
        ("'{cloudmesh.word}'", "deep"),
        ("{cloudmesh.word}", "deep"),
        ("a-{cloudmesh.word}-{cloudmesh.number}", "a-deep-7"),
        ("'{cloudmesh.number}'", 7),
        ("'{cloudmesh.truth} is'", "true is"),
        ("'{cloudmesh.section}'", {"a": "deep"}),
        ("'x {cloudmesh.section}'", "x {cloudmesh.section}"),
        ("'{cloudmesh.nothing}'", "{cloudmesh.nothing}"),
        ("'{username}'", "{username}"),
        ("'{ODBC Driver 17 for SQL Server}'", "{ODBC Driver 17 for SQL Server}"),
        ("'{__import__(''os'').system(''touch pwned'')}'", "{__import__('os').system('touch pwned')}"),
        ("'{cloudmesh.__class__.__mro__}'", "{cloudmesh.__class__.__mro__}"),
        ("'{cloudmesh.word.__class__}'", "{cloudmesh.word.__class__}"),
        ("'{cloudmesh.word!r:>{cloudmesh.number}}'", "{cloudmesh.word!r:>7}"),
        ("'$(touch pwned) `touch pwned`'", "$(touch pwned) `touch pwned`"),
        ("'%(word)s {0}'", "%(word)s {0}"),
        ("[$VAR, {a: ~/x}]", ["value", {"a": "HOME/x"}]),
    ],
)
def test_substitution(written: str, value: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None and written != "~":
        with pytest.raises(ConfigError, match="not YAML"):
            config_of(folder, f"x: {written}").get("x")
        return
    monkeypatch.chdir(tmp_path)
    base = "number: 7\ntruth: true\nword: '{cloudmesh.section.a}'\nsection: {a: deep}\n"
    config = config_of(folder, base + f"x: {written}", {"VAR": "value", "NESTED": "$VAR {cloudmesh.word}"})
    wanted = json.loads(json.dumps(value).replace("HOME", str(folder.parent)).replace("CWD", str(tmp_path)))
    assert config.get("x") == wanted
    assert config.data["cloudmesh"]["x"] == wanted
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("x: '{cloudmesh.x}'", "cloudmesh.x -> cloudmesh.x"),
        ("x: 'a{cloudmesh.y}'\ny: 'b{cloudmesh.x}'", "cloudmesh.y -> cloudmesh.x -> cloudmesh.y"),
        ("x: {a: '{cloudmesh.x}'}", "cloudmesh.x -> cloudmesh.x"),
    ],
)
def test_circles(text: str, circle: str, folder: Path) -> None:
    config = config_of(folder, text)
    with pytest.raises(ConfigError, match=circle):
        config.get("x")
    assert any("circle" in f.message and f.line for f in config.check() if f.level == "error")
    assert config.cloud("local").active


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("18.10", "18.10"), ("18.04", 18.04), ("0.1", 0.1), ("1.0", 1.0), ("18.09.2", "18.09.2"), ("22:22", "22:22"),
        ("0123", "0123"), ("0x10", "0x10"), ("1_000", "1_000"), ("1e3", "1e3"), ("NO", "NO"), ("yes", "yes"),
        ("True", True), ("false", False), ("7", 7), ("-7", -7), ("123456789012", 123456789012),
        ("12345678901234567890123", "12345678901234567890123"), ("2019-04-19", "2019-04-19"), ("null", None),
        ("'7'", "7"), ("!!str 7", "7"), (".5", ".5"), ("+1", "+1"), ("=", "="),
    ],
)  # fmt: skip
def test_values_read_as_written(written: str, value: Any, folder: Path) -> None:
    found = config_of(folder, f"x: {written}").data["cloudmesh"]["x"]
    assert (found, type(found)) == (value, type(value))


def test_anchors_and_merges(folder: Path) -> None:
    config = config_of(folder, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{z: 4}, *a]}\nd: *a")
    assert [config.get(key) for key in "bcd"] == [{"x": 1, "y": 3}, {"z": 4, "x": 1, "y": 2}, {"x": 1, "y": 2}]


# Cache

PROBE = """
import sys
from cloudms.config import Config
config = Config()
names = [cloud.name for cloud in config.clouds()]
heavy = ("yaml", "ruamel", "tempfile", "subprocess", "dataclasses", "difflib")
print(",".join(names), ",".join(name for name in heavy if name in sys.modules))
"""


def probe() -> str:
    """Return the clouds a new process sees and which heavy modules that took."""
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, env={**os.environ})
    return run.stdout.strip()


def test_a_second_process_needs_no_yaml(folder: Path) -> None:
    write(folder, LAB)
    assert probe() == "lab,off,local yaml,difflib"
    assert probe() == "lab,off,local"


def test_a_change_is_seen(folder: Path) -> None:
    file = write(folder, LAB)
    assert Config().get("profile.user") == "ada lovelace"
    status = file.stat()
    file.write_text(LAB.replace("ada lovelace", "ada_lovelace"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert Config().get("profile.user") == "ada_lovelace"
    other = write(folder, LAB.replace("ada lovelace", "bob_lovelace"), "other.yaml")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    other.replace(file)
    assert Config().get("profile.user") == "bob_lovelace"


def test_two_changes_in_one_tick_are_seen(folder: Path) -> None:
    for number in range(20):
        (folder / "cloudmesh.yaml").write_text(f"cloudmesh: {{x: {number:02}v}}\n")
        assert Config().get("x") == f"{number:02}v"


def test_a_change_of_an_included_file_is_seen(folder: Path) -> None:
    write(folder, "cloudmesh:\n  cloud: !include clouds.yaml\n")
    for name in ("one", "two", "three"):
        write(folder, f"{name}: {{cm: {{kind: libvirt}}}}\n", "clouds.yaml")
        os.utime(folder / "clouds.yaml", ns=(0, len(name) * 10**9 + ord(name[0])))
        assert Config().clouds()[0].name == name


@pytest.mark.parametrize("damage", ["", "{}", "[]", "null", '{"version": 1}', "x", "\x00"])
def test_a_damaged_cache_is_not_believed(damage: str, folder: Path) -> None:
    write(folder, LAB)
    Config().clouds()
    (cached,) = (folder / "cache").glob("*.json")
    cached.write_text(damage)
    assert Config().clouds()[0].name == "lab"
    assert json.loads(cached.read_text())["path"] == str(folder / "cloudmesh.yaml")


def test_a_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    write(folder, LAB)
    (folder / "cache").write_text("in the way")
    assert Config().clouds()[0].name == "lab"


def test_five_clouds_are_read_fast(folder: Path) -> None:
    cloud = (
        "    c{n}:\n      cm: {{kind: aws}}\n      default: {{image: x, size: y}}\n"
        "      credentials: {{EC2_ACCESS_ID: a, EC2_SECRET_KEY: b}}\n"
    )
    write(folder, "cloudmesh:\n  cloud:\n" + "".join(cloud.format(n=n) for n in range(5)))
    assert len(Config().clouds()) == 6
    best = min(_timed() for _ in range(30))
    assert best < 0.003, f"{best * 1000:.2f} ms"


def _timed() -> float:
    began = time.perf_counter()
    Config().clouds()
    return time.perf_counter() - began


# Findings


def findings(folder: Path, text: str, **options: Any) -> dict[str, Finding]:
    """Return what a check of `text` finds, by message."""
    return {finding.message: finding for finding in Config(write(folder, text), **options).check(nouns={"vm", "image"})}


def test_a_clean_file_has_no_findings(folder: Path) -> None:
    assert findings(folder, LAB.replace("  a.b: {c.d: 1, e: [x, {f: 2}]}\n", "")) == {}


CLEAR = """
cloudmesh:
  default: {cloud: awss}
  security: {encryption: true}
  alias: {vm: aws vm, good: aws vm, bad: 5}
  storage: {}
  cloud:
    aws:
      cm: {kind: aws, active: perhaps}
      credentials: {EC2_ACCESS_ID: your access id, EC2_SECRET_KEY: s3cr3t, EC2_SECRT: x}
    image: {cm: {kind: libvirt}}
    odd: {cm: {kind: libvrit}, default: {image: $NOPE/x}}
    ref: {cm: {kind: openstack}, credentials: {OS_USERNAME: TBD, OS_PASSWORD: env:NOPE}}
    none: {cm: {kind: azure}, credentials: {AZURE_TENANT_ID: TBD}}
    nokind: {}
"""


def test_findings(folder: Path) -> None:
    file = write(folder, CLEAR)
    file.chmod(0o644)
    config = Config(file)
    found = {(f.line, f.level, f.message, f.hint) for f in config.check(nouns={"vm", "image"})}
    for wanted in [
        (0, "error", "other users may read this file (mode 0644), and it has secrets", f"chmod 600 {file}"),
        (3, "warning", "the default cloud awss is not configured: local is used", "did you mean aws?"),
        (
            11,
            "error",
            "'image' is a word of the command line and cannot name a cloud",
            "choose another name, for instance my-image",
        ),
        (
            5,
            "error",
            "'vm' is a word of the command line and cannot name an alias",
            "choose another name, for instance my-vm",
        ),
        (5, "error", "the alias bad is not a word for a command", "write bad: aws vm"),
        (9, "warning", "active is neither true nor false: taken as true", ""),
        (
            10,
            "warning",
            "the key 'EC2_SECRT' in cloudmesh.cloud.aws.credentials is not known and not used",
            "did you mean 'EC2_CERT'?",
        ),
        (12, "warning", "cloudmesh.cloud.odd.default.image refers to $NOPE, which is not set", "set or remove it"),
        (13, "info", "cloud ref: OS_USERNAME have no value", ""),
    ]:
        assert wanted in found
    text = json.dumps([f.to_public() for f in config.check()])
    assert "s3cr3t" not in text
    for part in (
        "EC2_SECRET_KEY is a secret in clear", "EC2_ACCESS_ID still has the sample text",
        "the encrypted file is not read",
        "kept, not used: storage", "cloud none is unset: AZURE_TENANT_ID", "cloud odd: libvrit is not a kind",
        "did you mean libvirt?", "cloud nokind has no kind", "the environment variable NOPE has no value",
    ):  # fmt: skip
        assert part in text, part


def test_a_private_file_with_references_is_fine(folder: Path) -> None:
    text = "cloudmesh:\n  cloud:\n    aws:\n      credentials: {EC2_ACCESS_ID: a, EC2_SECRET_KEY: env:SECRET}\n"
    assert findings(folder, text, environ={"SECRET": "x"}) == {}


def test_finding_names_its_place() -> None:
    assert Finding(level="info", message="m", file="f", line=3).place == "f:3"
    assert Finding(level="info", message="m", file="f").place == "f"
    assert Finding(level="info", message="m").to_public()["kind"] == "finding"


# Words and names


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


# The counter


def test_counter(folder: Path) -> None:
    counter = Counter()
    assert counter.path == folder / "counter.yaml"
    assert [counter.get(), counter.incr(), counter.incr(), counter.get(), counter.decr(), counter.get()] == [
        0,
        1,
        2,
        2,
        1,
        1,
    ]
    assert counter.incr("usr1_counter") == 1
    assert counter.set("usr1_counter", 41) == 41
    assert counter.set("usr2_counter", "7") == 7
    assert Counter().values() == {"counter": 1, "usr1_counter": 41, "usr2_counter": 7}
    assert (folder / "counter.yaml").read_text() == "counter: 1\nusr1_counter: 41\nusr2_counter: 7\n"
    assert (counter.set("counter", 0), counter.decr()) == (0, 0)


def test_counter_goes_on_with_existing_files(folder: Path) -> None:
    (folder / "name.yaml").write_text("counter: 12\n")
    assert Counter().incr() == 13
    (folder / "counter.yaml").write_text("# mine\ncounter: 2   # broken by a race\nusr1_counter: '5'\nempty:\n")
    assert [Counter().incr(), Counter().incr("usr1_counter"), Counter().incr("empty"), Counter().incr("new")] == [
        3,
        6,
        1,
        1,
    ]
    assert (folder / "counter.yaml").read_text() == "# mine\ncounter: 3\nusr1_counter: 6\nempty: 1\nnew: 1\n"


@pytest.mark.parametrize(
    "text", ["counter: two\n", "counter: -1\n", "counter: 1.5\n", "{counter: 2}\n", "\tcounter 2\n"]
)
def test_a_counter_file_that_cannot_be_counted_with(text: str, folder: Path) -> None:
    (folder / "counter.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"counter\.yaml:1: "):
        Counter().incr()
    assert (folder / "counter.yaml").read_text() == text


@pytest.mark.parametrize("value", [None, "x", -1, 1.5, True, "", "-2", 10**19])
def test_counter_refuses(value: Any, folder: Path) -> None:
    with pytest.raises(Invalid):
        Counter().set("counter", value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "1a", "a\nb: 3", "x" * 200])
def test_counter_names(name: str, folder: Path) -> None:
    with pytest.raises(Invalid, match="cannot name a counter"):
        Counter().incr(name)
    assert not (folder / "counter.yaml").exists()


def test_twenty_processes_get_twenty_numbers(folder: Path) -> None:
    code = "from cloudms.config import Counter; print(Counter().incr())"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(20)
    ]
    numbers = [int(process.communicate()[0]) for process in running]
    assert sorted(numbers) == list(range(1, 21))
    assert Counter().get() == 20
