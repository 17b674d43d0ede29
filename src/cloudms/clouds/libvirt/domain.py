"""The domain XML of a VM. Format: https://libvirt.org/formatdomain.html.

What is chosen and why:

- Machine q35. Its own devices sit on the root bus and the PCIe ports are left for disks that are attached later (each
  needs one, and libvirt leaves only one free): a guest counts every port at boot, and six fewer of them made the
  emulated boot to SSH shorter by 0.2 of 3.4 s.
- Hot limits (`limits`): twice the processors, since an absent one costs nothing; twice the memory under KVM only, since
  the guest must first fill a balloon with what it may not use, measured at 3 s of CPU per GiB under emulation.
- Disks with the hypervisor's default cache (writeback, flushes honoured), never `unsafe`: a hard stop must not cost a
  file system.
- A serial console with a log file, the guest agent's channel, a random number source and a balloon with statistics.
- Acceleration `tcg` with the processor model `maximum`, `kvm` with the host's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from cloudms.clouds.libvirt.tags import Tags
from cloudms.record import Record

ARCH = "x86_64"
Q35 = "q35"
FIRST_SLOT = 4  # below are the ports; libvirt keeps 0x1f for the chipset
HEADROOM = 2
SPARE_PORTS = 6
"""PCIe ports for disks that are attached while the VM runs."""
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
PRIVATE_NETDEV = "cmsprivate"
STATS_PERIOD_S = 2

register_namespace("qemu", QEMU_NAMESPACE)


class PrivateCard(Record):
    """A card on the private network: its `mac`, and the multicast `group` and `port` that carry the network."""

    mac: str
    group: str
    port: int


class Machine(Record):
    """A VM to be: what `build` writes.

    `source` is where the first card leads: `user` (QEMU's own network), `network:NAME` or `bridge:NAME` of libvirt;
    paths are those of the hypervisor; memory in MiB.
    """

    name: str
    uuid: str
    tags: Tags
    accel: str
    vcpus: int
    max_vcpus: int
    memory_mib: int
    max_memory_mib: int
    disk: str
    seed: str
    console: str
    mac: str
    source: str = "user"
    private: PrivateCard | None = None
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    firmware: str = "bios"
    machine: str = Q35


def limits(vcpus: int, memory_mib: int, accel: str) -> tuple[int, int]:
    """Return how many processors and MiB of memory a VM of this size can be given while it runs."""
    return vcpus * HEADROOM, memory_mib * (HEADROOM if accel == "kvm" else 1)


def build(machine: Machine) -> str:
    """Return the XML that `defineXML` takes."""
    domain = Element("domain", type="kvm" if machine.accel == "kvm" else "qemu")
    _add(domain, "name", machine.name)
    _add(domain, "uuid", machine.uuid)
    SubElement(domain, "metadata").append(machine.tags.to_element())
    _add(domain, "memory", str(machine.max_memory_mib), unit="MiB")
    _add(domain, "currentMemory", str(machine.memory_mib), unit="MiB")
    _add(domain, "vcpu", str(machine.max_vcpus), placement="static", current=str(machine.vcpus))
    boot = boot_element(machine.kernel, machine.initrd, machine.cmdline, machine.firmware, machine=machine.machine)
    domain.append(boot)
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    SubElement(domain, "cpu", mode="host-passthrough" if machine.accel == "kvm" else "maximum")
    SubElement(domain, "clock", offset="utc")
    _devices(SubElement(domain, "devices"), machine)
    if machine.private:
        _private(domain, machine.private, "pcie.0" if machine.machine == Q35 else "pci.0")
    return tostring(domain, "unicode")


def boot_element(kernel: str, initrd: str, cmdline: str, firmware: str, *, machine: str, arch: str = ARCH) -> Element:
    """Return how a domain boots: the kernel given, else the firmware (bios or uefi) from the first disk."""
    system = Element("os")
    if firmware == "uefi" and not kernel:
        system.set("firmware", "efi")
        # Secure boot would refuse images that nobody signed, and its system management mode makes emulation slow.
        SubElement(SubElement(system, "firmware"), "feature", enabled="no", name="secure-boot")
    _add(system, "type", "hvm", arch=arch, machine=machine)
    if not kernel:
        SubElement(system, "boot", dev="hd")
        return system
    _add(system, "kernel", kernel)
    if initrd:
        _add(system, "initrd", initrd)
    _add(system, "cmdline", cmdline)
    return system


def _devices(devices: Element, machine: Machine) -> None:
    SubElement(devices, "controller", type="usb", model="none")
    root = disk_element(machine.disk, "vda")
    root.find("driver").set("discard", "unmap")  # type: ignore[union-attr]  # disk_element has just made it
    entropy = Element("rng", model="virtio")
    _add(entropy, "backend", "/dev/urandom", model="random")
    balloon = Element("memballoon", model="virtio")
    SubElement(balloon, "stats", period=str(STATS_PERIOD_S))
    channels = Element("controller", type="virtio-serial", index="0")
    seed = disk_element(machine.seed, "vdb", form="raw", readonly=True)
    own = (root, seed, _card(machine), channels, entropy, balloon)
    devices.extend(own)
    if machine.machine == Q35:
        _place(devices, own)
    serial = SubElement(devices, "serial", type="pty")
    SubElement(serial, "log", file=machine.console, append="on")
    SubElement(devices, "console", type="pty")
    channel = SubElement(devices, "channel", type="unix")
    SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")


def _place(devices: Element, own: Iterable[Element]) -> None:
    """Put the machine's own devices on the root bus, and free ports beside them."""
    SubElement(devices, "controller", type="pci", model="pcie-root")
    for _ in range(SPARE_PORTS):
        SubElement(devices, "controller", type="pci", model="pcie-root-port")
    for slot, device in enumerate(own, FIRST_SLOT):
        SubElement(device, "address", type="pci", domain="0x0000", bus="0x00", slot=f"0x{slot:02x}", function="0x0")


def disk_element(path: str, target: str, *, form: str = "qcow2", readonly: bool = False, serial: str = "") -> Element:
    """Return a disk of a domain: the file `path` as the guest's virtio disk `target`."""
    disk = Element("disk", type="file", device="disk")
    SubElement(disk, "driver", name="qemu", type=form)
    SubElement(disk, "source", file=path)
    SubElement(disk, "target", dev=target, bus="virtio")
    if readonly:
        SubElement(disk, "readonly")
    if serial:
        _add(disk, "serial", serial)
    return disk


def _card(machine: Machine) -> Element:
    kind, _, name = machine.source.partition(":")
    card = Element("interface", type=kind)
    SubElement(card, "mac", address=machine.mac)
    if kind != "user":
        SubElement(card, "source", {kind: name})
    SubElement(card, "model", type="virtio")
    SubElement(card, "rom", enabled="no")
    return card


def _private(domain: Element, card: PrivateCard, bus: str) -> None:
    """Add the private card by QEMU arguments: libvirt's own multicast card cannot be kept on the loopback device.

    Its slot is a high one, so that the guest counts it after the first card.
    """
    arguments = (
        ("-netdev", f"socket,id={PRIVATE_NETDEV},mcast={card.group}:{card.port},localaddr=127.0.0.1"),
        ("-device", f"virtio-net-pci,netdev={PRIVATE_NETDEV},mac={card.mac},bus={bus},addr=0x1c,romfile="),
    )
    line = SubElement(domain, f"{{{QEMU_NAMESPACE}}}commandline")
    for pair in arguments:
        for value in pair:
            SubElement(line, f"{{{QEMU_NAMESPACE}}}arg", value=value)


def _add(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = text
    return child
