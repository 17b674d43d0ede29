"""What every test stands on: a home of its own, no credentials from outside, and no network in unit tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import ManualClock
from tests.aws.emulator import Lab

OUTSIDE = (
    "AWS_",
    "AZURE_",
    "CLOUDMESH",
    "CLOUDMS_",
    "CMS_",
    "EC2_",
    "GOOGLE_",
    "LIBVIRT_",
    "OS_",
    "SLURM_",
    "VIRSH_",
    "XDG_",
)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_session: dict[str, str]) -> Path:
    """Give the test an empty home, so that it reads and writes nothing of the person's."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for name in list(os.environ):
        if name.startswith(OUTSIDE) and name not in ("CMS_TEST_IMAGES", *own_session):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(home / ".cloudmesh"))
    return home


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that moves only when told to."""
    return ManualClock()


@pytest.fixture(scope="session")
def aws_server() -> Iterator[Lab]:
    """Return one pretended AWS for the whole run; tests take `aws`, which is empty."""
    lab = Lab()
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def aws(aws_server: Lab) -> Lab:
    """Return a pretended AWS where nothing is yet and everything works."""
    aws_server.reset()
    return aws_server


@pytest.fixture(autouse=True)
def only_loopback(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a unit test's connection to any machine but this one."""
    if "unit" not in request.node.path.parts:
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and str(address[0]) not in ("localhost", "::1"):
            assert str(address[0]).startswith("127."), f"a unit test connects to {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def own_session(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Point an ordinary user's live tests, and their fixtures of any scope, to a libvirt session of their own.

    Its folder is short, since socket paths end at 108 bytes.
    """
    if os.geteuid() == 0 or not any(item.get_closest_marker("live") for item in request.session.items):
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="cms", dir="/tmp"))
    variables = {}
    for part, name in zip("rcad", ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME"), strict=True):
        (folder / part).mkdir(mode=0o700)
        variables[f"XDG_{name}"] = str(folder / part)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables
    for file in folder.rglob("*.pid"):
        if file.stem in ("libvirtd", "virtlogd", "virtqemud"):
            stop(file)
    shutil.rmtree(folder, ignore_errors=True)


def stop(pid_file: Path) -> None:
    """End the process that wrote `pid_file`."""
    try:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        return
