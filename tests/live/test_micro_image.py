"""The micro image, built here and run by a bare QEMU: identity, first boot, hard stops, growth, power."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudms.images import build as module
from cloudms.images import tools
from cloudms.images.build import build
from cloudms.images.store import ImageStore, StoredImage
from cloudms.lease import archive

from . import images, qemu
from .qemu import Machine

pytestmark = [pytest.mark.live, pytest.mark.skipif(not qemu.can_run(), reason="QEMU or ssh is not installed")]

ADDRESS = "127.78.11.1"
SRC = Path(module.__file__).parents[2]


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredImage]:
    """Return the image, built once."""
    yield from images.built("micro", tmp_path_factory)


@pytest.fixture
def guest(micro: StoredImage, tmp_path: Path) -> Iterator[Machine]:
    """Return a machine that is not started yet."""
    with qemu.machine(micro, tmp_path / "m", ADDRESS, disk_gib=3) as made:
        yield made


def seed(guest: Machine, instance: str = "i-1", hostname: str = "one", **files: str) -> dict[str, str | bytes]:
    """Return a seed that lets the machine's key in."""
    key = guest.key.with_suffix(".pub").read_text().strip()
    return {"meta-data": qemu.meta_data(instance, hostname, key)} | {
        name.replace("_", "-"): text for name, text in files.items()
    }


def until(check: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until `check` holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.3)


def size_mib(guest: Machine) -> int:
    """Return the size of the root file system."""
    return int(guest.ssh("df -Pm / | awk 'NR == 2 { print $2 }'"))


def test_record_says_how_to_boot_it(micro: StoredImage) -> None:
    assert (micro.boot, micro.login, micro.first_boot, micro.format) == ("direct", "cms", "cloud-init", "qcow2")
    assert micro.kernel_path is not None and micro.kernel_path.read_bytes()[:4] == b"\x7fELF"
    assert micro.initrd_path is not None and micro.initrd_path.is_file()
    assert "console=ttyS0" in str(micro.cmdline)
    assert any(package.startswith("dropbear-bin=") for package in micro.packages)


def test_boots_lets_the_key_in_and_runs_the_script_once(guest: Machine) -> None:
    guest.start(seed(guest, user_data="#!/bin/bash\necho out of ${BASH_VERSION%%.*}; date > /root/ran\n"))
    guest.wait_ssh()
    assert guest.ssh("id -un; hostname").split() == ["cms", "one"]
    assert guest.ssh("sudo -n id -u").strip() == "0"
    assert guest.ssh("id -u", user="root").strip() == "0"
    status = json.loads(guest.ssh("cloud-init status --wait --format json"))
    assert status["status"] == "done"
    assert guest.ssh("cat /var/log/cloud-init-output.log") == "out of 5\n"
    imports = (
        "import ctypes, multiprocessing, sqlite3, ssl, yaml; print(ssl.create_default_context().cert_store_stats())"
    )
    assert ast.literal_eval(guest.ssh(f"python3 -c '{imports}'"))["x509_ca"] > 50
    until(lambda: size_mib(guest) > 2500)
    assert guest.agent("guest-info")["version"]
    assert guest.agent("guest-set-time", time=1_900_000_000 * 10**9) == {}
    assert guest.ssh("date -u +%Y").strip() == "2030"


def test_files_travel_by_sftp(guest: Machine, tmp_path: Path) -> None:
    guest.start(seed(guest))
    guest.wait_ssh()
    (tmp_path / "given").write_bytes(os.urandom(100_000))
    known = guest.folder / "known_hosts"
    options = [*qemu.SSH_OPTIONS, "-o", f"UserKnownHostsFile={known}", "-i", str(guest.key), "-P", "2222"]
    for source, target in (("given", f"cms@{ADDRESS}:there"), (f"cms@{ADDRESS}:there", "back")):
        places = [str(tmp_path / place) if ":" not in place else place for place in (source, target)]
        subprocess.run(["scp", "-q", *options, *places], check=True, timeout=60)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "given").read_bytes()


@pytest.mark.parametrize("cache", ["writeback", "none"])
def test_hard_stop_after_first_boot_keeps_the_identity(guest: Machine, cache: str) -> None:
    files = seed(guest)
    guest.start(files, cache=cache)
    first = guest.host_key()
    guest.kill()
    guest.start(files, cache=cache)
    guest.wait_ssh()
    assert guest.host_key() == first
    guest.kill()
    guest.start(files, cache=cache)
    guest.wait_ssh()
    assert guest.host_key() == first


def test_broken_host_key_is_made_again(guest: Machine) -> None:
    files = seed(guest)
    guest.start(files)
    first = guest.host_key()
    guest.wait_ssh()
    guest.ssh("sudo sh -c ': > /etc/dropbear/dropbear_ed25519_host_key; sync'")
    guest.kill()
    guest.start(files)
    guest.wait_ssh()
    assert guest.host_key() != first


def test_another_instance_is_another_machine_and_the_same_one_stays(guest: Machine) -> None:
    script = "#!/bin/sh\necho again >> /root/log\ncat /root/log\nexit 3\n"
    guest.start(seed(guest, user_data=script))
    first = guest.host_key()
    guest.wait_ssh()
    assert guest.ssh("cloud-init status --wait || echo code $?").split("\n")[-2] == "code 1"
    machine_id = guest.ssh("cat /etc/machine-id")
    guest.ssh("sudo reboot", check=False)
    until(lambda: guest.console().count("BEGIN SSH HOST KEY") == 2)
    guest.wait_ssh()
    assert guest.console().count(first) == 2
    assert guest.ssh("cat /var/log/cloud-init-output.log") == "again\n"
    guest.kill()
    guest.start(seed(guest, "i-2", "two", user_data=script))
    guest.wait_ssh()
    assert guest.host_key() != first
    assert guest.ssh("hostname").strip() == "two"
    assert guest.ssh("cat /etc/machine-id") != machine_id
    guest.ssh("cloud-init status --wait", check=False)
    assert guest.ssh("cat /var/log/cloud-init-output.log") == "again\nagain\n"


CONFIG = """#cloud-config
timezone: Europe/Berlin
users:
- default
- {name: ada, sudo: 'ALL=(ALL) NOPASSWD:ALL', ssh_authorized_keys: ["KEY"]}
write_files:
- {path: /opt/note, content: aGVsbG8=, encoding: b64, owner: 'ada:ada', permissions: '0640', defer: true}
runcmd:
- [sh, -c, 'stat -c "%U %a" /opt/note > /opt/seen']
"""

NETWORK = """version: 2
ethernets:
  nic0:
    match:
      macaddress: "52:54:00:00:00:05"
    dhcp4: true
  nic1:
    match:
      macaddress: "52:54:00:00:00:06"
    addresses:
      - 10.77.0.5/24
    nameservers:
      addresses: [9.9.9.9]
"""


def test_cloud_config_and_two_cards(guest: Machine) -> None:
    key = guest.key.with_suffix(".pub").read_text().strip()
    second = f"socket,id=n1,listen={ADDRESS}:9977"
    more = ("-netdev", second, "-device", "virtio-net-pci,netdev=n1,romfile=,mac=52:54:00:00:00:06")
    guest.start(seed(guest, user_data=CONFIG.replace("KEY", key), network_config=NETWORK), more=more)
    guest.wait_ssh()
    guest.ssh("cloud-init status --wait")
    assert guest.ssh("cat /opt/note; id -un; sudo -n id -un", user="ada").split() == ["helloada", "root"]
    assert guest.ssh("cat /opt/seen").strip() == "ada 640"
    assert "cloud-config: timezone is ignored" in guest.console()
    addresses = guest.ssh("ip -o -4 addr")
    assert "10.77.0.5/24" in addresses and "10.0.2.15/24" in addresses
    servers = guest.ssh("cat /etc/resolv.conf")
    assert "9.9.9.9" in servers and "10.0.2.3" in servers


def test_grows_while_it_runs(guest: Machine) -> None:
    guest.start(seed(guest))
    guest.wait_ssh()
    guest.ssh("cloud-init status --wait")
    guest.monitor("device_add max-x86_64-cpu,id=c1,socket-id=0,core-id=1,thread-id=0")
    guest.monitor("block_resize virtio0 5G")
    until(lambda: guest.ssh("nproc").strip() == "2")
    until(lambda: size_mib(guest) > 4500)


def test_power_button_and_agent_switch_it_off(guest: Machine) -> None:
    for ask in (
        lambda: guest.monitor("system_powerdown"),
        lambda: guest.agent_only_sends("guest-shutdown"),
    ):
        guest.start(seed(guest))
        guest.wait_ssh()
        guest.ssh("cloud-init status --wait")
        ask()
        guest.wait_off(60)


def test_memory_on_disk_comes_back(guest: Machine) -> None:
    files = seed(guest)
    guest.start(files)
    guest.wait_ssh()
    guest.ssh("echo kept > /dev/shm/kept")
    state = guest.folder / "state"
    guest.monitor("stop")
    guest.monitor(f'migrate "exec:cat > {state}"')
    until(lambda: "completed" in guest.monitor("info migrate"))
    first = guest.host_key()
    guest.kill()
    guest.start(files, more=("-incoming", f"exec:cat {state}"), keep_log=True)
    until(lambda: "inmigrate" not in guest.monitor("info status"))
    guest.monitor("cont")
    guest.wait_ssh()
    assert guest.host_key() == first
    assert guest.ssh("cat /dev/shm/kept").strip() == "kept"


def test_built_image_is_found_again_without_work(micro: StoredImage, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **options: object) -> bytes:
        raise AssertionError("nothing is to be run")

    monkeypatch.setattr(tools, "run", forbidden)
    assert build("micro", store=ImageStore(micro.folder.parent)) == micro


def test_the_same_packages_give_the_same_bytes(micro: StoredImage, tmp_path: Path) -> None:
    again = build("micro", store=ImageStore(tmp_path / "second"))
    assert (again.digest, again.files) == (micro.digest, micro.files)
    for name in micro.files:
        assert (again.folder / name).read_bytes() == (micro.folder / name).read_bytes()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user; the other tests ran as an ordinary one"
)
def test_an_ordinary_user_builds_the_same_bytes(micro: StoredImage) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    with tempfile.TemporaryDirectory(prefix="cms-user-", dir="/var/tmp") as name:
        folder = Path(name)
        shutil.copytree(SRC / "cloudms", folder / "src/cloudms", ignore=shutil.ignore_patterns("__pycache__"))
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        command = "from cloudms.images.build import build; print(build('micro').digest)"
        env = {
            "HOME": str(home),
            "PYTHONPATH": str(folder / "src"),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [python, "-c", command],
            user=65534,
            group=65534,
            extra_groups=[],
            env=env,
            cwd="/",
            capture_output=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().strip() == micro.digest


def test_boothooks_and_per_boot_scripts_run_at_every_boot(guest: Machine) -> None:
    hook = "#cloud-boothook\n#!/bin/sh\necho {} >>/root/boots\n"
    script = (
        "#!/bin/sh\nmkdir -p /var/lib/cloud/scripts/per-boot\ncd /var/lib/cloud/scripts/per-boot || exit 1\n"
        "printf '#!/bin/sh\\necho per-boot >>/root/boots\\n' >mine\nchmod 755 mine\necho once >>/root/boots\n"
    )
    files = seed(guest, user_data=archive([script, hook.format("user")]), vendor_data=hook.format("vendor"))
    guest.start(files)
    guest.wait_ssh()
    guest.ssh("cloud-init status --wait")
    assert guest.ssh("cat /root/boots", user="root").split() == ["vendor", "user", "once"]
    guest.kill()
    guest.start({**files, "vendor-data": hook.format("renewed")})
    guest.wait_ssh()
    guest.ssh("cloud-init status --wait")
    again = guest.ssh("cat /root/boots", user="root").split()
    assert again == ["vendor", "user", "once", "renewed", "user", "per-boot"]
