"""The libvirt cloud against a real libvirt and real guests: every role with the micro image.

Run as root it uses the system's libvirt, as another user a session. Pool, domains and addresses are the tests' own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms import paths
from cloudms.clouds.base import Setup
from cloudms.clouds.libvirt import describe, forwards, host, network
from cloudms.clouds.libvirt.driver import LibvirtCloud
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Origin, Vm, VmSpec, VmState
from tests.images import ensure

pytestmark = pytest.mark.live

RUN = secrets.token_hex(3)  # two runs at once must not sweep each other
OWNER = f"lv-test-{RUN}@here"
POOL = f"lv-test-{RUN}"
PREFIX = f"lv-test-{RUN}-"
NEAR = f"127.78.{int(RUN[:2], 16)}"  # for addresses that are asked for by name
SSH = ("-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
       "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "IdentitiesOnly=yes")  # fmt: skip


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the micro image of this run."""
    return ensure("micro", tmp_path_factory.mktemp("images") / "store").folder.parent


@pytest.fixture(scope="module")
def key() -> Iterator[Path]:
    """Return a private key of the tests' own."""
    with tempfile.TemporaryDirectory(prefix="lv-test-") as folder:
        path = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        yield path


@pytest.fixture(scope="module")
def pool_folder() -> Iterator[Path]:
    """Return the folder of the tests' pool, which goes with everything of the tests at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lv-test-pool-", dir=host.SYSTEM_POOL.parent if os.geteuid() == 0 else None))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def opened(micro: Path, pool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LibvirtCloud]]:
    """Return a function that opens the cloud with more options; everything it made is deleted at the end."""
    monkeypatch.setattr(paths, "images", lambda: micro)
    clouds: list[LibvirtCloud] = []

    def open_cloud(owner: str = OWNER, **options: Any) -> LibvirtCloud:
        settings = {"pool": POOL, "pool_path": str(pool_folder), **options}
        clouds.append(LibvirtCloud(Setup(name="local", owner=owner, options=settings)))
        return clouds[-1]

    yield open_cloud
    sweep(open_cloud())
    for cloud in clouds:
        cloud.close()


@pytest.fixture
def cloud(opened: Callable[..., LibvirtCloud]) -> LibvirtCloud:
    """Return the cloud."""
    return opened()


def sweep(cloud: LibvirtCloud) -> None:
    """Delete every domain of these tests and their pool."""
    for domain in cloud.domains():
        if domain.name().startswith(PREFIX):
            cloud.remove(domain, (cloud.tags(domain) or describe.Tags()).file_token)
    pool = cloud.pool.open()
    pool.destroy()
    pool.undefine()


def spec(key: Path, **more: Any) -> VmSpec:
    """Return a request for a micro VM."""
    public = key.with_suffix(".pub").read_text().strip()
    values = {
        "name": PREFIX + secrets.token_hex(3), "token": "feed" + secrets.token_hex(10), "image": "micro",
        "flavor": "tiny", "owner": OWNER, "keys": (public,),
    }  # fmt: skip
    return VmSpec(**{**values, **more})


def ssh(vm: Vm, key: Path, command: str, *, deadline: float = 90.0, host: str = "") -> str:
    """Return what a command printed in the guest, once SSH answers."""
    end = time.monotonic() + deadline
    target = [*SSH, "-i", str(key), "-p", str(vm.ssh_port), f"{vm.login}@{host or vm.ssh_host}"]
    while True:
        if answers(host or vm.ssh_host, vm.ssh_port):
            done = subprocess.run(["ssh", *target, command], capture_output=True, text=True, timeout=60, check=False)
            if done.returncode != 255:
                assert done.returncode == 0, done.stderr
                return done.stdout.strip()
        assert time.monotonic() < end, f"no SSH at {vm.ssh_host}:{vm.ssh_port}"
        time.sleep(0.1)


def answers(host: str, port: int) -> bool:
    """Whether an SSH server says its banner."""
    try:
        with socket.create_connection((host, port), 0.5) as client:
            client.settimeout(1.0)
            return client.recv(4) == b"SSH-"
    except OSError:
        return False


def until(cloud: LibvirtCloud, vm: Vm, state: VmState, deadline: float = 60.0) -> Vm:
    """Wait until the VM is in `state`."""
    end = time.monotonic() + deadline
    while (now := cloud.get_vm(vm)).state is not state:
        assert time.monotonic() < end, f"{now.state} ({now.reason}) instead of {state}"
        time.sleep(0.1)
    return now


def never_started(cloud: LibvirtCloud, wanted: VmSpec) -> Vm:
    """Return a VM as it is before its first start, for what needs no guest."""
    domain = cloud.define(cloud.order(wanted, cloud.bases.find("micro")))
    cloud.settle(domain, cloud.tags(domain) or describe.Tags())
    return cloud.show(domain)


def outer_address() -> str:
    """Return the address of this machine's way out; loopback when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a datagram socket sends nothing for that
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def member(address: str) -> socket.socket:
    """Return a socket that hears the tests' private network on the device with this address, and on no other."""
    multicast_all = 49  # IP_MULTICAST_ALL of linux/in.h, which Python does not name
    group, port = network.group(OWNER)
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    heard.setsockopt(socket.IPPROTO_IP, multicast_all, 0)
    heard.bind((group, port))
    heard.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(address))
    heard.setblocking(False)
    return heard


def test_a_vm_from_boot_to_deletion(cloud: LibvirtCloud, key: Path) -> None:
    said: list[str] = []
    wanted = spec(key, labels={"role": "web"}, group="g", expires=2e9, user_data="#!/bin/sh\necho hello > /root/made\n")
    vm = cloud.create_vm(wanted, said.append)
    assert (vm.state, vm.origin, vm.name, vm.token) == (VmState.RUNNING, Origin.OWN, wanted.name, wanted.token)
    assert vm.public_ips[0].startswith("127.77.") and vm.ssh_port == 2222 and vm.login == "cms"
    assert said[-1] == "starting it"
    assert cloud.create_vm(wanted).id == vm.id
    assert ssh(vm, key, "hostname") == wanted.name
    assert ssh(vm, key, "sudo cat /root/made") == "hello"

    listed = {each.token: each for each in cloud.list_vms()}[wanted.token]
    assert (listed.labels, listed.group, listed.expires, listed.flavor) == ({"role": "web"}, "g", 2e9, "tiny")
    assert cloud.get_vm(Vm(name="?", token=wanted.token)).id == vm.id
    assert "BEGIN SSH HOST KEY KEYS" in cloud.console_log(vm)
    used = cloud.metrics([vm])[vm.key]
    assert used["cpu_seconds"] > 0.5 and used["memory_mib"] == 256 and used["disk_read_bytes"] > 1e6
    assert not list(cloud.leftovers(frozenset()))

    with pytest.raises(Exists):
        cloud.create_vm(wanted.with_(token="beef" + secrets.token_hex(8)))
    assert cloud.get_vm(vm).state is VmState.RUNNING
    with pytest.raises(Conflict):
        cloud.delete_image(next(image for image in cloud.list_images() if image.name == "micro"))

    ssh(vm, key, "echo kept | sudo tee /root/kept; sync")
    assert cloud.stop_vm(vm).state is VmState.STOPPING
    until(cloud, vm, VmState.STOPPED)
    assert cloud.stop_vm(vm).state is VmState.STOPPED
    again = cloud.start_vm(vm)
    assert again.state is VmState.RUNNING
    assert ssh(again, key, "sudo cat /root/kept") == "kept"

    cloud.delete_vm(vm)
    cloud.delete_vm(vm)
    with pytest.raises(NotFound):
        cloud.get_vm(vm)
    assert [each.name for each in cloud.pool.entries() if wanted.token in each.name] == []


def test_freeze_save_and_reboot(cloud: LibvirtCloud, key: Path) -> None:
    vm = cloud.create_vm(spec(key))
    ssh(vm, key, "sleep 1; touch /tmp/alive")
    for _twice in range(2):
        assert cloud.suspend_vm(vm).state is VmState.SUSPENDED
    assert cloud.get_vm(vm).state is VmState.SUSPENDED
    assert cloud.mend(vm).state is VmState.SUSPENDED
    for _twice in range(2):
        assert cloud.resume_vm(vm).state is VmState.RUNNING
    for _twice in range(2):
        assert cloud.save_vm(vm).state is VmState.SAVED
    with pytest.raises(NotReady):
        cloud.suspend_vm(vm)
    time.sleep(2)
    assert cloud.start_vm(vm).state is VmState.RUNNING
    assert ssh(vm, key, "ls /tmp/alive; date +%s").split()[0] == "/tmp/alive"
    assert abs(float(ssh(vm, key, "date +%s")) - time.time()) < 2.5

    before = ssh(vm, key, "cat /proc/sys/kernel/random/boot_id")
    assert cloud.reboot_vm(vm).state is VmState.REBOOTING
    end = time.monotonic() + 60
    while ssh(vm, key, "cat /proc/sys/kernel/random/boot_id") == before:
        assert time.monotonic() < end
        time.sleep(0.3)
    after = ssh(vm, key, "cat /proc/sys/kernel/random/boot_id")
    cloud.reboot_vm(vm, force=True)
    end = time.monotonic() + 60
    while ssh(vm, key, "cat /proc/sys/kernel/random/boot_id") == after:
        assert time.monotonic() < end
        time.sleep(0.3)
    assert cloud.stop_vm(vm, force=True).state is VmState.STOPPED


def test_addresses_while_it_runs(cloud: LibvirtCloud, key: Path) -> None:
    vm = cloud.create_vm(spec(key))
    other = never_started(cloud, spec(key))
    ssh(vm, key, "true")
    given = cloud.set_address(vm, f"{NEAR}.9", {"2222": 22, "8080": 80})
    assert given.public_ips == (vm.ssh_host, f"{NEAR}.9")
    assert ssh(vm, key, "hostname", host=f"{NEAR}.9") == vm.name
    with pytest.raises(Exists):
        cloud.set_address(other, f"{NEAR}.9", {"8080": 80})
    with pytest.raises(Invalid, match="80 cannot be forwarded"):
        cloud.set_address(vm, f"{NEAR}.9", {"80": 80})
    with pytest.raises(Invalid):
        cloud.set_address(vm, "nowhere")
    with socket.create_server((f"{NEAR}.10", 8080)), pytest.raises(Exists, match="it is taken"):
        cloud.set_address(vm, f"{NEAR}.10", {"8080": 80})
    assert cloud.get_vm(vm).public_ips == (vm.ssh_host, f"{NEAR}.9")
    free = cloud.set_address(other)
    assert len(set(free.public_ips)) == 2
    assert {(a.name, a.vm) for a in cloud.list_addresses()} >= {(f"{NEAR}.9", vm.name), (vm.ssh_host, vm.name)}
    for _twice in range(2):
        assert cloud.remove_address(vm, f"{NEAR}.9").public_ips == (vm.ssh_host,)
    assert not answers(f"{NEAR}.9", 2222)

    # what a crash takes: the forwards of a running VM, which mend brings back
    domain, seen = cloud.find(vm)
    forwards.apply(domain, describe.netdev(seen.root), {})
    assert not answers(vm.ssh_host, 2222)
    cloud.mend(vm)
    assert ssh(vm, key, "hostname") == vm.name

    # an address that another program took while the VM was off gives way
    cloud.stop_vm(vm, force=True)
    with socket.create_server((vm.ssh_host, 2222)):
        moved = cloud.start_vm(vm)
        assert moved.ssh_host != vm.ssh_host
        assert ssh(moved, key, "hostname") == vm.name


def test_open_ports_are_forwarded_from_the_address_of_the_vm(cloud: LibvirtCloud, key: Path) -> None:
    vm = cloud.create_vm(spec(key, options={"open": [8080]}))
    (address,) = [each for each in cloud.list_addresses() if each.vm == vm.name]
    assert dict(address.ports) == {"2222": 22, "8080": 8080}
    cloud.delete_vm(vm)


def test_snapshots(cloud: LibvirtCloud, key: Path) -> None:
    vm = cloud.create_vm(spec(key))
    ssh(vm, key, "echo one | sudo tee /root/state; sync")
    made = cloud.create_snapshot(vm, "first")
    assert made.memory and made.vm == vm.name and made.created
    with pytest.raises(Exists):
        cloud.create_snapshot(vm, "first")
    ssh(vm, key, "echo two | sudo tee /root/state; sync")
    cloud.tag_vm(vm.with_(labels={"since": "then"}))
    back = cloud.revert_snapshot(vm, "first")
    assert back.state is VmState.RUNNING and back.labels == {"since": "then"}
    assert ssh(back, key, "sudo cat /root/state") == "one"
    with pytest.raises(NotFound):
        cloud.revert_snapshot(vm, "second")
    with pytest.raises(Conflict, match="snapshots"):
        cloud.stop_vm(vm, force=True)
        cloud.rename_vm(vm, PREFIX + "other")
    assert not cloud.create_snapshot(vm, "off").memory
    assert [each.name for each in cloud.list_snapshots(vm)] == ["first", "off"]
    for _twice in range(2):
        cloud.delete_snapshot(vm, "first")
    assert cloud.revert_snapshot(vm, "off").state is VmState.STOPPED
    cloud.delete_vm(vm)
    assert [each for each in cloud.list_snapshots() if each.vm == vm.name] == []


def test_volumes(cloud: LibvirtCloud, key: Path) -> None:
    vm, other = cloud.create_vm(spec(key)), never_started(cloud, spec(key))
    token = "feed" + secrets.token_hex(6)
    volume = cloud.create_volume("data", 1, token, {"k": "v"})
    assert cloud.create_volume("data", 1, token, {}).id == volume.id
    with pytest.raises(Exists):
        cloud.create_volume("data", 1, "beef" + token, {})
    assert (volume.size_gib, volume.labels, volume.owner, volume.vm) == (1, {"k": "v"}, OWNER, "")
    ssh(vm, key, "true")
    held = cloud.attach_volume(volume, vm)
    assert (held.vm, held.device, held.state) == (vm.name, "/dev/vdc", "attached")
    assert cloud.attach_volume(volume, vm).device == "/dev/vdc"
    assert ssh(vm, key, "sleep 0.5; grep -c vdc /proc/partitions") == "1"
    ssh(vm, key, "sudo sh -c 'echo stored > /dev/vdc; sync'")
    for refused in (lambda: cloud.attach_volume(volume, other), lambda: cloud.delete_volume(volume)):
        with pytest.raises(Conflict):
            refused()
    with pytest.raises(Conflict, match="volumes"):
        cloud.create_snapshot(vm, "mixed")
    for _twice in range(2):
        assert cloud.detach_volume(volume).vm == ""
    assert ssh(vm, key, "grep -c vdc /proc/partitions || true") == "0"
    assert cloud.attach_volume(volume, other).vm == other.name
    cloud.delete_vm(other)
    assert [(each.name, each.vm) for each in cloud.list_volumes()] == [("data", "")]
    cloud.attach_volume(volume, vm)
    assert ssh(vm, key, "sleep 0.5; sudo head -c 6 /dev/vdc") == "stored"
    cloud.stop_vm(vm, force=True)
    assert cloud.detach_volume(volume).state == "available"
    for _twice in range(2):
        cloud.delete_volume(volume)
    assert list(cloud.list_volumes()) == []


def test_clone_rename_resize_rebuild(cloud: LibvirtCloud, key: Path) -> None:
    vm = cloud.create_vm(spec(key))
    ssh(vm, key, "echo mine | sudo tee /root/mine; cat /etc/dropbear/*.pub")
    copied = spec(key, network="")
    clone = cloud.clone_vm(vm, copied)
    assert clone.id != vm.id and clone.ssh_host != vm.ssh_host and clone.image == "micro"
    assert cloud.clone_vm(vm, copied).id == clone.id
    assert ssh(clone, key, "hostname; sudo cat /root/mine").split() == [copied.name, "mine"]
    keys = [ssh(each, key, "cat /etc/dropbear/*.pub | cut -d' ' -f2") for each in (vm, clone)]
    assert keys[0] != keys[1]
    assert cloud.get_vm(vm).state is VmState.RUNNING
    cloud.delete_vm(clone)

    with pytest.raises(NotReady):
        cloud.rename_vm(vm, PREFIX + "new")
    bigger = cloud.resize_vm(vm, "large")
    assert bigger.flavor == "large" and "memory" in bigger.reason
    assert ssh(vm, key, "sleep 1; nproc") == "2"
    with pytest.raises(NotFound):
        cloud.resize_vm(vm, "huge")
    cloud.stop_vm(vm, force=True)
    for _twice in range(2):
        renamed = cloud.rename_vm(vm, PREFIX + "new")
    assert renamed.name == PREFIX + "new" and renamed.id == vm.id
    cloud.start_vm(vm)
    total = int(ssh(vm, key, "grep MemTotal /proc/meminfo").split()[1])
    assert 1_900_000 < total < 2_100_000

    fresh = cloud.rebuild_vm(vm, "micro")
    assert fresh.state is VmState.RUNNING and fresh.ssh_host == vm.ssh_host
    assert ssh(fresh, key, "sudo ls /root/mine 2>/dev/null || echo gone") == "gone"


def test_private_network(cloud: LibvirtCloud, key: Path) -> None:
    one, two = (cloud.create_vm(spec(key, network="private")) for _ in range(2))
    addresses = [vm.private_ips[0] for vm in (one, two)]
    assert len(set(addresses)) == 2 and all(each.startswith("10.77.") for each in addresses)
    ssh(two, key, "true")
    with member("127.0.0.1") as inside, member(outer_address()) as outside:
        assert ", 0% packet loss" in ssh(one, key, f"sudo ping -c 3 {addresses[1]}")
        assert len(inside.recv(2048)) > 40
        with pytest.raises(BlockingIOError):
            outside.recv(2048)


def test_a_vm_of_somebody_else(opened: Callable[..., LibvirtCloud], key: Path) -> None:
    cloud, stranger = opened(), opened(owner="other@there")
    conn = cloud.link.open()
    name = PREFIX + "made"
    conn.defineXML(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"
    )
    found = next(vm for vm in cloud.list_vms() if vm.name == name)
    assert (found.origin, found.token, found.state) == (Origin.FOREIGN, "", VmState.STOPPED)
    for refused in (
        lambda: cloud.delete_vm(found), lambda: cloud.rename_vm(found, name + "2"),
        lambda: cloud.rebuild_vm(found, "micro"), lambda: cloud.create_snapshot(found, "s"),
    ):  # fmt: skip
        with pytest.raises(Conflict):
            refused()
    adopted = cloud.adopt_vm(found.with_(token="feed00000000"))
    assert adopted.origin is Origin.ADOPTED
    assert cloud.get_vm(Vm(name="", token="feed00000000")).id == found.id
    assert next(vm for vm in stranger.list_vms() if vm.name == name).origin is Origin.FOREIGN
    with pytest.raises(Conflict, match="belongs to lv-test-"):
        stranger.delete_vm(found)
    with pytest.raises(Unsupported):
        cloud.console_log(adopted)
    cloud.delete_vm(adopted)
    assert name not in {vm.name for vm in cloud.list_vms()}


def test_a_creation_that_was_killed_is_finished(cloud: LibvirtCloud, key: Path) -> None:
    wanted = spec(key)
    order = cloud.order(wanted, cloud.bases.find("micro"))
    cloud.define(order)  # and then the process died
    pending = cloud.get_vm(Vm(name=wanted.name, token=wanted.token))
    assert (pending.state, pending.origin) == (VmState.PENDING, Origin.OWN)
    cloud.pool.create_disk(f"cms-{wanted.token}.qcow2", 1 << 30)  # a disk that was begun, too
    vm = cloud.create_vm(wanted)
    assert vm.state is VmState.RUNNING and ssh(vm, key, "hostname") == wanted.name
    orphan = f"cms-{'dead' * 4}.qcow2"
    cloud.pool.create_disk(orphan, 1 << 30)
    (left,) = cloud.leftovers(frozenset())
    assert (left.id, left.token, left.kind) == (orphan, "dead" * 4, "disk")
    assert list(cloud.leftovers(frozenset((left.token,)))) == []
    for _twice in range(2):
        cloud.clean(left)
    assert list(cloud.leftovers(frozenset())) == []
    with pytest.raises(Conflict):
        cloud.clean(left.with_(id=f"cms-{wanted.token}.qcow2"))


def test_what_is_wrong_is_said_before_anything_is_made(cloud: LibvirtCloud, key: Path) -> None:
    for wrong, error in (
        ({"image": "nothing"}, NotFound), ({"flavor": "huge"}, NotFound), ({"network": "nowhere"}, NotFound),
        ({"token": "../x"}, Invalid), ({"options": {"ports": {"80": 80}}}, Invalid),
        ({"options": {"open": [80]}}, Invalid), ({"region": "nowhere"}, NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            cloud.create_vm(spec(key, **wrong))
    assert [vm for vm in cloud.list_vms() if vm.name.startswith(PREFIX)] == []


def test_files_go_through_libvirt_where_the_folder_is_closed(
    opened: Callable[..., LibvirtCloud], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = opened()
    cloud.pool.open()
    monkeypatch.setattr(type(cloud.pool), "direct", False)
    wanted = spec(key)
    vm = cloud.create_vm(wanted)
    assert ssh(vm, key, "hostname") == wanted.name
    assert [image.state for image in cloud.list_images() if image.name == "micro"] == ["ready"]
    cloud.stop_vm(vm, force=True)
    disk = cloud.pool.path(f"cms-{wanted.token}.qcow2")
    cloud.pool.copy(disk, "cms-copied0.qcow2")
    assert cloud.pool.get("cms-copied0.qcow2") == Path(disk).read_bytes()
    cloud.pool.delete("cms-copied0.qcow2")
    monkeypatch.setattr(cloud.link, "local", False)
    assert "BEGIN SSH HOST KEY KEYS" in cloud.console_log(vm)
    monkeypatch.setattr(cloud.link, "local", True)
    cloud.delete_vm(vm)
    assert [e.name for e in cloud.pool.entries() if not e.name.startswith("cms-base-")] == []


@pytest.mark.skipif(shutil.which("virt-ssh-helper") is None, reason="virt-ssh-helper is not installed")
def test_a_hypervisor_elsewhere(opened: Callable[..., LibvirtCloud], key: Path, tmp_path: Path) -> None:
    pretended = tmp_path / "ssh"  # everything of the SSH transport but the other machine
    pretended.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    pretended.chmod(0o755)
    place = "system" if os.geteuid() == 0 else "session"
    cloud = opened(uri=f"qemu+ssh://localhost/{place}?command={pretended}", accel="tcg")
    assert not cloud.link.local and cloud.outside == "127.0.0.1"
    vm = cloud.create_vm(spec(key))
    assert vm.ssh_host == "127.0.0.1" and 20000 <= vm.ssh_port < 30000
    assert ssh(vm, key, "hostname") == vm.name
    assert "BEGIN SSH HOST KEY KEYS" in next(cloud.follow_console(vm))
    assert [image.state for image in cloud.list_images() if image.name == "micro"] == ["ready"]
    cloud.delete_vm(vm)
    assert [e.name for e in cloud.pool.entries() if not e.name.startswith("cms-base-")] == []


def test_the_connection_is_opened_again(cloud: LibvirtCloud) -> None:
    before = sockets()
    cloud.reach()
    conn = cloud.link.open()
    assert cloud.link.open() is conn
    for number in sockets() - before:  # what a restart of the daemon does to us
        with socket.socket(fileno=os.dup(number)) as wire:
            wire.shutdown(socket.SHUT_RDWR)
    assert isinstance(cloud.list_vms(), list)
    assert cloud.link.open() is not conn


def sockets() -> set[int]:
    """Return the numbers of this process's open sockets."""
    links = {each.name: str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()}
    return {int(name) for name, target in links.items() if target.startswith("socket:")}
