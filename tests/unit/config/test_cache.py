"""The copy without secrets that most commands read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudms.config import Config
from tests.unit.config.sample import LAB, write

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
