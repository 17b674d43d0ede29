"""Boot to SSH: `cms`, plain libvirt with the same XML, and bare QEMU on the same image, interleaved in one run.

    python -m bench.boot [--runs 5]

Each contender makes a fresh overlay disk, starts the machine, and is done when an authenticated SSH command says that
the first boot has finished. `cms` is timed as a whole process, Python's start-up and its records included; the others
are timed in this process, which has libvirt imported. Run it on an idle machine and quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from statistics import median

from cloudms import ssh
from cloudms.clouds.libvirt import host
from cloudms.engine.ready import FIRST_BOOT
from cloudms.model import Vm

CMS = [sys.executable, "-m", "cloudms"]
LIMITS = {"plain libvirt": 1.1, "bare QEMU": 1.5}


def cms(*words: str) -> str:
    """Run a `cms` command and return what it printed."""
    return subprocess.run([*CMS, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Reference:
    """A VM that `cms` made, as the pattern for the two others: its XML, base image, seed and key."""

    def __init__(self) -> None:
        self.vm = json.loads(cms("vm", "boot", "micro", "--name", "bench-ref", "--cloud", "local", "-o", "json"))[0]
        dumped = subprocess.run(
            ["virsh", "-c", host.default_uri(), "dumpxml", "--inactive", "bench-ref"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        self.root = ET.fromstring(dumped)  # noqa: S314 (libvirt wrote it)
        self.folder = Path(str(self.text("devices/disk/source", "file"))).parent

    def text(self, path: str, attribute: str = "") -> str:
        """Return the text or an attribute of an element of the XML."""
        element = self.root.find(path)
        assert element is not None, path
        return str(element.get(attribute) if attribute else element.text)

    @property
    def base(self) -> str:
        """Return the base image of its disk."""
        told = subprocess.run(
            ["qemu-img", "info", "-U", "--output=json", self.text("devices/disk/source", "file")],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        return str(json.loads(told)["full-backing-filename"])

    def disks(self) -> list[str]:
        """Return the paths of its disks: root and seed."""
        return [str(source.get("file")) for source in self.root.findall("devices/disk/source")]

    def overlay(self, name: str) -> str:
        """Make a fresh disk over the base image and return its path."""
        path = str(self.folder / f"{name}.qcow2")
        words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.base, "-F", "qcow2", path]
        subprocess.run(words, check=True)
        return path

    def reached_at(self, address: str, name: str) -> Vm:
        """Return what ssh needs to reach a machine made after this pattern."""
        return Vm(
            name=name, cloud="bench", id=name, ssh_host=address, ssh_port=2222, login=self.vm["login"],
            ssh_key=self.vm["ssh_key"],
        )  # fmt: skip


def until_login(vm: Vm) -> None:
    """Wait as `cms` waits: for the banner, then for the command that ends when the first boot has."""
    while not ssh.answers(vm.ssh_host, vm.ssh_port):
        time.sleep(0.05)
    while ssh.run(vm, [FIRST_BOOT]).exit != 0:
        time.sleep(0.1)


def by_cms(_reference: Reference, number: int) -> float:
    """Boot one VM with `cms vm boot` and return the seconds of the whole process."""
    name = f"bench-cms-{number}"
    begun = time.monotonic()
    cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--quiet")
    took = time.monotonic() - begun
    cms("vm", "delete", name, "--yes", "--quiet")
    return took


def by_libvirt(reference: Reference, number: int) -> float:
    """Boot one domain of the same XML through libvirt's own calls and return the seconds until login."""
    import libvirt
    import libvirt_qemu

    name, address = f"bench-plain-{number}", f"127.77.250.{number + 1}"
    conn = libvirt.open(host.default_uri())
    begun = time.monotonic()
    disk = reference.overlay(name)
    domain = conn.defineXML(_renamed(reference, name, disk))
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
    libvirt_qemu.qemuMonitorCommand(domain, f"hostfwd_add hostnet0 tcp:{address}:2222-:22", 1)
    domain.resume()
    until_login(reference.reached_at(address, name))
    took = time.monotonic() - begun
    domain.destroy()
    domain.undefine()
    for file in (disk, disk.replace(".qcow2", ".console")):
        Path(file).unlink(missing_ok=True)
    conn.close()
    return took


def _renamed(reference: Reference, name: str, disk: str) -> str:
    root = ET.fromstring(ET.tostring(reference.root))  # noqa: S314 (a copy of our own)
    for path, text in (("name", name), ("uuid", str(uuid.uuid4()))):
        element = root.find(path)
        assert element is not None
        element.text = text
    metadata = root.find("metadata")
    if metadata is not None:
        root.remove(metadata)
    source = root.find("devices/disk/source")
    assert source is not None
    source.set("file", disk)
    for log in root.findall("devices/serial/log") + root.findall("devices/console/log"):
        log.set("file", disk.replace(".qcow2", ".console"))
    return ET.tostring(root, "unicode")


def by_qemu(reference: Reference, number: int) -> float:
    """Boot the same image with QEMU alone and return the seconds until login."""
    name, address = f"bench-qemu-{number}", f"127.77.251.{number + 1}"
    accel = "kvm" if reference.root.get("type") == "kvm" else "tcg"
    memory = str(int(reference.text("memory")) // 1024)
    begun = time.monotonic()
    disk = reference.overlay(name)
    words = [
        "qemu-system-x86_64", "-M", f"q35,accel={accel}", "-cpu", "host" if accel == "kvm" else "max", "-m", memory,
        "-nodefaults", "-display", "none", "-serial", f"file:{disk}.console", "-kernel", reference.text("os/kernel"),
        "-initrd", reference.text("os/initrd"), "-append", reference.text("os/cmdline"),
        "-drive", f"file={disk},if=virtio,format=qcow2",
        "-drive", f"file={reference.disks()[1]},if=virtio,format=raw,readonly=on,file.locking=off",
        "-netdev", f"user,id=n0,hostfwd=tcp:{address}:2222-:22", "-device", "virtio-net-pci,netdev=n0,romfile=",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    until_login(reference.reached_at(address, name))
    took = time.monotonic() - begun
    process.kill()
    process.wait()
    for file in (disk, f"{disk}.console"):
        Path(file).unlink(missing_ok=True)
    return took


def main() -> int:
    """Run the contenders in turn and print medians and ratios; exit 1 when a ratio is above its limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="how often each boots")
    runs = parser.parse_args().runs
    contenders: dict[str, Callable[[Reference, int], float]] = {
        "cms": by_cms, "plain libvirt": by_libvirt, "bare QEMU": by_qemu,
    }  # fmt: skip
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    with tempfile.TemporaryDirectory(prefix="cms-bench-") as home:
        os.environ.update(HOME=home, CLOUDMESH_CONFIG_DIR=f"{home}/.cloudmesh")
        cms("image", "build", "micro", "--quiet")
        reference = Reference()
        try:
            took: dict[str, list[float]] = {name: [] for name in contenders}
            for number in range(runs):
                for name, boot in contenders.items():
                    took[name].append(boot(reference, number))
        finally:
            cms("vm", "delete", "bench-ref", "--yes", "--quiet")
    return report(took)


def report(took: dict[str, list[float]]) -> int:
    """Print the table and return the exit code."""
    middle = {name: median(seconds) for name, seconds in took.items()}
    for name, seconds in took.items():
        print(f"{name:<14} median {middle[name]:6.2f} s   min {min(seconds):6.2f} s   max {max(seconds):6.2f} s")
    bad = 0
    for name, limit in LIMITS.items():
        ratio = middle["cms"] / middle[name]
        bad += ratio > limit
        print(f"cms / {name:<14} {ratio:5.2f}   (promised: at most {limit})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
