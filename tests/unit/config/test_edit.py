"""`config set` changes one value and not one byte more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Config
from cloudms.errors import CloudmsError, ConfigError, Denied

CASES = json.loads((Path(__file__).parents[2] / "cases/config-edit/cases.json").read_text(encoding="utf-8"))


@pytest.fixture
def file(own_home: Path) -> Path:
    """Return where the configuration file stands."""
    (own_home / ".cloudmesh").mkdir(mode=0o700)
    (own_home / ".cloudmesh" / "lab.yaml").write_text("x: {kind: libvirt}\n")
    return own_home / ".cloudmesh" / "cloudmesh.yaml"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_set(case: dict[str, Any], file: Path) -> None:
    before = "\n".join(case["before"])
    file.write_bytes(before.encode())
    config = Config()
    if "error" in case:
        with pytest.raises(CloudmsError) as caught:
            config.set(case["key"], case["value"])
        assert case["error"] in caught.value.message
        assert caught.value.hint
        assert file.read_bytes() == before.encode()
        return
    config.set(case["key"], case["value"])
    assert file.read_bytes().decode() == "\n".join(case["after"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(file.parent.glob("*.new"))


def test_what_was_set_is_read(file: Path) -> None:
    config = Config()
    config.set("cloud.lab.cm.kind", "libvirt")
    config.set("cloud.lab.default.image", "debian-12")
    config.set("default.cloud", "lab")
    for reader in (config, Config()):
        assert reader.default_cloud() == "lab"
        assert reader.cloud("lab").default["image"] == "debian-12"
    assert file.read_text() == (
        "cloudmesh:\n  cloud:\n    lab:\n      cm:\n        kind: libvirt\n      default:\n        image: debian-12\n"
        "  default:\n    cloud: lab\n"
    )


def test_the_first_file_is_private(own_home: Path) -> None:
    Config().set("profile.user", "ada")
    assert (own_home / ".cloudmesh").stat().st_mode & 0o777 == 0o700
    assert (own_home / ".cloudmesh" / "cloudmesh.yaml").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_clear_is_written_with_a_warning(file: Path) -> None:
    config = Config()
    found = config.set("cloud.aws.credentials.EC2_SECRET_KEY", "clear-secret")
    assert [finding.level for finding in found] == ["warning"]
    assert "env:NAME" in found[0].hint
    assert "clear-secret" not in str(found)
    assert config.set("cloud.aws.credentials.EC2_SECRET_KEY", "env:SECRET") == []
    assert config.set("cloud.aws.credentials.EC2_ACCESS_ID", "AKID") == []


def test_an_unknown_key_is_written_with_a_warning(file: Path) -> None:
    found = Config().set("default.cluod", "aws")
    assert [(finding.line, finding.hint) for finding in found] == [(3, "did you mean 'cloud'?")]


def test_a_broken_file_is_not_touched(file: Path) -> None:
    file.write_text("cloudmesh:\n\tx: y\n")
    with pytest.raises(ConfigError, match=":2: a tab"):
        Config().set("default.cloud", "aws")
    assert file.read_text() == "cloudmesh:\n\tx: y\n"


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.yaml"
    target.write_text("cloudmesh: {}\n")
    file.symlink_to(target)
    Config().set("default.cloud", "aws")
    assert file.is_symlink()
    assert target.read_text() == "cloudmesh: {default: {cloud: aws}}\n"


def test_cm4_s_own_file_is_changed(own_home: Path) -> None:
    older = own_home / ".cloudmesh" / "cloudmesh4.yaml"
    older.parent.mkdir()
    older.write_text("cloudmesh:\n  default:\n    cloud: aws\n")
    Config().set("default.cloud", "local")
    assert older.read_text() == "cloudmesh:\n  default:\n    cloud: local\n"
    assert not older.with_name("cloudmesh.yaml").exists()


def test_a_folder_in_the_way_is_one_line(own_home: Path) -> None:
    (own_home / ".cloudmesh").write_text("a file")
    with pytest.raises(Denied, match="cannot be written"):
        Config().set("default.cloud", "aws")


WRITER = """
import sys
from cloudms.config import Config
for number in range(10_000):
    Config().set("default.cloud", f"cloud{number}")
    print(number, flush=True)
"""


def test_killed_at_any_moment_the_file_is_whole(file: Path) -> None:
    padding = "".join(f"  x-{n}: {'y' * 80}\n" for n in range(200))
    file.write_text(f"cloudmesh:\n{padding}  default:\n    cloud: none # keep\n")
    size = len(file.read_text())
    for delay in (0.0, 0.003, 0.011):
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, env={**os.environ})
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        text = file.read_text()
        assert text.endswith(" # keep\n")
        assert abs(len(text) - size) < 10
    Config().set("default.cloud", "last")
    assert file.read_text().endswith("cloud: last # keep\n")


def test_a_password_in_an_address_is_kept_in_a_variable(file: Path) -> None:
    found = Config().set("cloud.lab.uri", "qemu+ssh://root:pw@host/system")
    assert "keep it in the environment: uri: ${NAME}" in [finding.hint for finding in found]
    config = Config(environ={"PLACE": "qemu+ssh://root:pw@host/system"})
    config.set("cloud.lab.uri", "${PLACE}")
    assert config.cloud("lab").option("uri") == "qemu+ssh://root:pw@host/system"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b"\xef\xbb\xbfcloudmesh:\n  default:\n    cloud: x\n",
            b"\xef\xbb\xbfcloudmesh:\n  default:\n    cloud: new\n",
        ),
        (b"cloudmesh:\r  default:\r    cloud: x\r", b"cloudmesh:\r  default:\r    cloud: new\r"),
        (b"---\ncloudmesh:\n  default:\n    cloud: x\n...\n", b"---\ncloudmesh:\n  default:\n    cloud: new\n...\n"),
        (b"cloudmesh:\n  default:\n    cloud: a\n      b\n", b"cloudmesh:\n  default:\n    cloud: new\n"),
        (b'{"cloudmesh": {"default": {"cloud": "x"}}}', b'{"cloudmesh": {"default": {"cloud": "new"}}}'),
        (
            b"cloudmesh:\n  default:\n    x:\n    - a\n\n# end\n",
            b"cloudmesh:\n  default:\n    x:\n    - a\n    cloud: new\n\n# end\n",
        ),
    ],
)
def test_odd_files(before: bytes, after: bytes, file: Path) -> None:
    file.write_bytes(before)
    Config().set("default.cloud", "new")
    assert file.read_bytes() == after
    assert Config().get("default.cloud") == "new"
