"""The first-boot seed: a small disk with the label `cidata` that cloud-init's NoCloud (and our micro guest) reads.

Format: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html. The meta-data is written as plain
lines in a fixed order, so that a guest without a YAML parser can read it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.errors import MissingExtra
from cloudms.record import Record

LABEL = "cidata"
VENDOR_DATA = "vendor-data"
NOTHING = "#cloud-config\n{}\n"


class Card(Record):
    """A network card of the guest: its `mac`, and a static `address` with prefix length (empty: DHCP)."""

    mac: str
    address: str = ""


def files(
    *,
    instance: str,
    hostname: str,
    keys: Sequence[str],
    user_data: str = "",
    vendor_data: str = "",
    cards: Sequence[Card] = (),
) -> dict[str, bytes]:
    """Return the seed's files by name.

    Parameters: `instance` is the identity (another one makes the guest do its first boot again), `keys` are public keys
    in OpenSSH's format, `user_data` is passed verbatim, `vendor_data` is what the house adds (the timer of a lease),
    `cards` are described only when there are any.
    """
    found = {
        "meta-data": meta_data(instance, hostname, keys).encode(),
        "user-data": (user_data or NOTHING).encode(),
    }
    if vendor_data:
        found[VENDOR_DATA] = vendor_data.encode()
    if cards:
        found["network-config"] = network_config(cards).encode()
    return found


def meta_data(instance: str, hostname: str, keys: Sequence[str]) -> str:
    """Return the meta-data: who the guest is and who may log in."""
    lines = [f"instance-id: {instance}", f"local-hostname: {hostname}"]
    if keys:
        lines.append("public-keys:")
    lines += [f'  - "{one_line(key)}"' for key in keys]
    return "\n".join(lines) + "\n"


def network_config(cards: Sequence[Card]) -> str:
    """Return the network configuration, version 2, one value per line."""
    lines = ["version: 2", "ethernets:"]
    for number, card in enumerate(cards):
        lines += [f"  nic{number}:", "    match:", f'      macaddress: "{card.mac}"']
        lines += ["    addresses:", f"      - {card.address}"] if card.address else ["    dhcp4: true"]
    return "\n".join(lines) + "\n"


def one_line(key: str) -> str:
    """Return a public key as one line without quotes and backslashes, which only its comment could hold."""
    return " ".join(key.replace("\\", "").replace('"', "").split())


def hostname(name: str) -> str:
    """Return a VM name as a host name: RFC 1123 knows no underscore and at most 63 characters."""
    return name.replace("_", "-").strip("-.")[:63]


def iso(contents: Mapping[str, bytes]) -> bytes:
    """Return an ISO 9660 image with the files, readable by Linux (Rock Ridge) and Windows (Joliet)."""
    pycdlib = _sdk()
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for name, content in contents.items():
        plain = name.upper().replace("-", "_")
        image.add_fp(io.BytesIO(content), len(content), f"/{plain}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def extract(image: bytes) -> dict[str, bytes]:
    """Return the files of a seed that `iso` made, by name."""
    pycdlib = _sdk()
    found: dict[str, bytes] = {}
    opened = pycdlib.PyCdlib()
    opened.open_fp(io.BytesIO(image))
    for child in opened.list_children(rr_path="/"):
        if child.is_file():
            name = child.rock_ridge.name().decode()
            content = io.BytesIO()
            opened.get_file_from_iso_fp(content, rr_path=f"/{name}")
            found[name] = content.getvalue()
    opened.close()
    return found


def _sdk() -> Any:
    try:
        import pycdlib
    except ImportError:
        raise MissingExtra("libvirt", why="the first-boot seed of a VM") from None
    return pycdlib
