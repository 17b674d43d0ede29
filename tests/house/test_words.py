"""The project speaks of the project alone: no place, person or machine that it was made on."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.house.source import ROOT

TOP = frozenset(
    ("bin", "boot", "dev", "etc", "home", "lib", "nonexistent", "opt", "proc", "root", "run", "sbin", "srv", "sys",
     "answers", "aws", "cms-lab", "does", "nowhere", "pool", "tmp", "usr", "v1", "var", "vms", "cinder", "flavors",
     "floatingips",
     "glance", "images", "neutron", "nova", "os-keypairs", "os-server-groups", "other", "quotas", "routers",
     "security-group-rules", "security-groups", "servers", "snapshots", "v2", "v3", "volumes")
)  # fmt: skip
"""The folders that stand at the root of any Linux (the file hierarchy standard), those that never do, and those of
requests (also OpenStack's) and of AWS's public parameters."""

ABSOLUTE = re.compile(r"""(?<![\w./:$}\]){~*+-])/([a-z][a-z0-9_-]+)/[\w.-]""")
ADDRESS = re.compile(r"https?://(?:[^/@\s\"'`]*@)?([\w.-]+)")
PRIVATE = re.compile(r"^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|\.(internal|intranet|corp|lan|local)$|^[\w-]{2,}$")
EXAMPLES = frozenset(("localhost", "host", "server", "proxy", "mirror", "example", "10.0.2.2"))
"""One-word hosts that stand for any; so does a single letter. The number is what QEMU's guests call their host."""

PERSON = re.compile(r"/home/(?!(?:you|me|user|ada|ben|grace|cms)\b)\w+")
OTHERS = {"LICENSE", "tests/house/test_words.py"}
TOLD_BY_OTHERS = ("tests/cases/", "src/cloudms/images/guest/", "src/cloudms/clouds/libvirt/accel_probe.S")
"""Files in the words of other programs, those of guests with roots of their own, and one where a slash divides."""


@cache
def files() -> list[Path]:
    """Return the text files of the project."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    found = [ROOT / name for name in listed if name not in OTHERS and not name.startswith(TOLD_BY_OTHERS)]
    return [file for file in found if file.is_file() and b"\0" not in file.read_bytes()[:8192]]


def lines(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Return where a pattern occurs, and its first group."""
    return [
        (f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}", match[1] if match.lastindex else match[0])
        for file in files()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def test_there_is_something_to_read() -> None:
    if not files():
        pytest.skip("this is no checkout of git")
    assert len(files()) > 100


def test_paths_are_those_of_any_machine() -> None:
    wrong = [where for where, top in lines(ABSOLUTE) if top not in TOP]
    assert not wrong


def test_nobodys_home_is_named() -> None:
    assert not [where for where, _ in lines(PERSON)]


def test_addresses_are_public() -> None:
    wrong = [where for where, host in lines(ADDRESS) if PRIVATE.search(host) and host not in EXAMPLES]
    assert not [where for where in wrong if "127." not in where]
