"""Start-up time is a feature: the usual commands import nothing that they do not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from cloudms import registry
from tests.house.source import SRC

SDKS = ("azure", "boto3", "botocore", "classad", "htcondor", "keystoneauth1", "libcloud", "libvirt", "libvirt_qemu",
        "libvirtmod", "openstack", "pycdlib")  # fmt: skip
SLOW = ("asyncio", "concurrent.futures", "dataclasses", "email", "http.client", "logging", "multiprocessing",
        "requests", "rich", "ruamel", "ssl", "tempfile", "urllib.request", "xml", "yaml")  # fmt: skip
NOT_FOR_HELP = ("click", "cloudms.catalog", "cloudms.clouds", "cloudms.config", "cloudms.context", "cloudms.engine",
                "cloudms.verbs", "sqlite3", "socket", "subprocess", "threading")  # fmt: skip
NOT_FOR_A_LIST = ("cloudms.clouds.libvirt", "cloudms.images", "cloudms.guards", "socket", "subprocess")


def loaded(code: str) -> set[str]:
    """Return the modules that a program has loaded at its end, beyond those of an empty one."""
    told = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    found = []
    for program in ("pass", code):
        done = subprocess.run(
            [sys.executable, "-c", program + told],
            env={**os.environ, "PYTHONPATH": str(SRC)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found.append(set(json.loads(done.stderr.splitlines()[-1])))
    return found[1] - found[0]


def those_of(modules: set[str], heavy: tuple[str, ...]) -> list[str]:
    """Return what of `heavy` is among the modules, the parts of packages included."""
    return sorted(name for name in modules if any(name == each or name.startswith(f"{each}.") for each in heavy))


def command(*words: str) -> str:
    """Return the program of a command line."""
    return f"from cloudms.doors.cli import main\nassert main({list(words)!r}) == 0"


@pytest.fixture(autouse=True)
def index(own_home: object) -> None:
    """Make the index of commands once, as the first command of a machine does."""
    loaded(command("--help"))


@pytest.mark.parametrize(
    "code", ["import cloudms", "import cloudms.clouds.base", "import cloudms.model, cloudms.errors"]
)
def test_importing_costs_nothing(code: str) -> None:
    assert not those_of(loaded(code), (*SDKS, *SLOW, "sqlite3", "subprocess", "click"))


def test_help_comes_from_the_index_alone() -> None:
    for words in (("--help",), ("vm", "--help"), ("--version",)):
        assert not those_of(loaded(command(*words)), (*SDKS, *SLOW, *NOT_FOR_HELP)), words


def test_the_help_of_a_command_needs_no_catalog() -> None:
    assert not those_of(loaded(command("version", "--help")), (*SDKS, *SLOW, "sqlite3", "cloudms.catalog"))


def test_a_cached_list_needs_the_catalog_only() -> None:
    heavy = tuple(name for name in SLOW if name != "tempfile")
    assert not those_of(loaded(command("vm", "list", "--cached")), (*SDKS, *heavy, *NOT_FOR_A_LIST))


@pytest.mark.parametrize("kind", registry.FAMILIES["cloudms.clouds"])
def test_the_class_of_a_cloud_needs_no_sdk(kind: str) -> None:
    modules = loaded(f"from cloudms import registry\nregistry.load('cloudms.clouds', {kind!r}).roles()")
    assert not those_of(modules, SDKS)
