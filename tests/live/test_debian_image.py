"""The debian image, built here (minutes) and run by a bare QEMU: cloud-init's first boot, identity, growth, power."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.images.store import StoredImage

from . import images, qemu

pytestmark = [pytest.mark.live, pytest.mark.skipif(not qemu.can_run(), reason="QEMU or ssh is not installed")]

ADDRESS = "127.78.12.1"
PATIENCE_S = 400.0  # emulated and beside other work; some 20 s on an idle machine

CONFIG = """#cloud-config
write_files:
- {path: /opt/note, content: hello}
runcmd:
- cat /opt/note > /opt/seen
"""


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredImage]:
    """Return the image, built once."""
    yield from images.built("debian", tmp_path_factory)


def test_first_boot_a_pulled_plug_and_another_identity(debian: StoredImage, tmp_path: Path) -> None:
    with qemu.machine(debian, tmp_path / "m", ADDRESS, disk_gib=4) as guest:
        key = guest.key.with_suffix(".pub").read_text().strip()
        files: dict[str, str | bytes] = {"meta-data": qemu.meta_data("i-1", "one", key), "user-data": CONFIG}
        guest.start(files, memory=512)
        first = guest.host_key(PATIENCE_S)
        guest.wait_ssh(PATIENCE_S)
        assert guest.ssh("id -un; hostname").split() == ["debian", "one"]
        assert json.loads(guest.ssh("cloud-init status --wait --format json"))["status"] == "done"
        assert guest.ssh("sudo -n cat /opt/seen").strip() == "hello"
        assert guest.ssh("systemctl list-units --failed --no-legend --plain") == ""
        assert int(guest.ssh("df -Pm / | awk 'NR == 2 { print $2 }'")) > 3500
        assert guest.agent("guest-info")["version"]
        guest.kill()  # the plug, not the button

        guest.start(files | {"meta-data": qemu.meta_data("i-2", "two", key)}, memory=512)
        guest.wait_ssh(PATIENCE_S)
        assert guest.host_key() != first
        assert guest.ssh("hostname").strip() == "two"
