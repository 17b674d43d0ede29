"""The domain XML: each case of tests/cases/libvirt/domain-NAME.xml is what one machine becomes."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import indent, tostring

import pytest

from cloudms.clouds.libvirt.describe import parse
from cloudms.clouds.libvirt.domain import Machine, PrivateCard, boot_element, build, disk_element, limits
from cloudms.clouds.libvirt.tags import Tags

CASES = Path(__file__).parents[3] / "cases" / "libvirt"
UUID = "0b0e1a52-6f6e-5d0b-8a4f-2f1f7d4c3b2a"

MACHINE = Machine(
    name="web-1", uuid=UUID, tags=Tags(token="abcd1234", owner="ada@lab"), accel="tcg", vcpus=1, max_vcpus=2,
    memory_mib=256, max_memory_mib=256, disk="/pool/cms-abcd1234.qcow2", seed="/pool/cms-abcd1234-seed.iso",
    console="/pool/cms-abcd1234.console", mac="52:54:00:01:02:03",
)  # fmt: skip

MACHINES = {
    "direct": MACHINE.with_(
        kernel="/pool/k", initrd="/pool/i", cmdline="console=ttyS0 root=/dev/vda",
        tags=Tags(
            token="abcd1234", owner="ada@lab", image="micro", base="00ff", flavor="tiny", login="cms", created=1.5,
            labels={"role": 'a "web" <server>'}, forwards={"127.77.3.4": {2222: 22, 8080: 80}}, intent="create",
        ),
    ),
    "kvm-uefi-bridge": MACHINE.with_(accel="kvm", max_memory_mib=512, firmware="uefi", source="bridge:br0"),
    "private": MACHINE.with_(private=PrivateCard(mac="52:54:00:0a:0b:0c", group="239.77.1.2", port=17100)),
    "pc-network": MACHINE.with_(machine="pc", source="network:default"),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_build(name: str) -> None:
    built = parse(build(MACHINES[name]))
    indent(built)
    assert tostring(built, "unicode") + "\n" == (CASES / f"domain-{name}.xml").read_text()


def test_every_case_is_used() -> None:
    assert {path.stem.removeprefix("domain-") for path in CASES.glob("domain-*.xml")} == set(MACHINES)


@pytest.mark.parametrize(("accel", "expected"), [("kvm", (4, 2048)), ("tcg", (4, 1024))])
def test_limits(accel: str, expected: tuple[int, int]) -> None:
    assert limits(2, 1024, accel) == expected


def test_a_kernel_of_its_own_needs_no_firmware() -> None:
    direct = boot_element("/k", "", "quiet", "uefi", machine="q35")
    assert direct.get("firmware") is None
    assert [child.tag for child in direct] == ["type", "kernel", "cmdline"]


def test_disk_element() -> None:
    disk = disk_element("/pool/a&b", "vdc", serial="data")
    assert disk.find("source").get("file") == "/pool/a&b"  # type: ignore[union-attr]
    assert disk.findtext("serial") == "data"
    assert disk.find("readonly") is None
