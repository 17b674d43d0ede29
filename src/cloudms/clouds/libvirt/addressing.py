"""Addresses: loopback addresses of this machine (or ports of the hypervisor's) that lead into a VM.

A forward stands on the domain first and is then set in QEMU, so that a kill between the two is put right by `mend`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudms.clouds.base import Addresses
from cloudms.clouds.libvirt import describe, forwards, network
from cloudms.clouds.libvirt.core import Core
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.link import talks
from cloudms.clouds.libvirt.tags import Tags
from cloudms.errors import Exists, Invalid, NoCapacity, Unsupported
from cloudms.model import Address, Vm


class Addressing(Core, Addresses):
    """Giving and taking addresses while VMs run."""

    @talks
    def list_addresses(self) -> Iterable[Address]:
        """Return the addresses that lead to VMs of cloudms."""
        now = self.clock.now()
        return [
            Address(
                name=address,
                cloud=self.name,
                id=address,
                vm=domain.name(),
                ports={str(port): guest for port, guest in ports.items()},
                fetched=now,
            )
            for domain in self.domains()
            for address, ports in (self.tags(domain) or Tags()).forwards.items()
        ]

    @talks
    def set_address(self, vm: Vm, address: str = "", ports: Mapping[str, int] | None = None) -> Vm:
        """Forward `ports` (host → guest; 2222 → 22 when not given) of `address` (a free one when empty) into the VM.

        Ports that the address already forwards to this VM stay.
        Raises: Exists (another VM has one of them), Invalid, NoCapacity, Unsupported (not a user-mode network).
        """
        wanted = _ports(ports, local=self.link.local)
        with self.changing(vm) as (domain, seen):
            tags = self.own(seen, "given an address")
            _must_forward(seen)
            chosen = network.check_address(address) if address else self._free(tags, wanted)
            self._check_free(chosen, wanted, seen)
            have = {host: dict(guests) for host, guests in tags.forwards.items()}
            kept = {**have, chosen: {**have.get(chosen, {}), **wanted}}
            after = self.keep(domain, tags.with_(forwards=kept))
            if seen.active:
                self._open(domain, seen, tags, after, chosen)
            return self.noun(seen.with_(tags=after))

    def _open(self, domain: Any, seen: Seen, before: Tags, after: Tags, address: str) -> None:
        """Set the forwards in QEMU, or take everything back."""
        netdev = describe.netdev(seen.root)
        refused = [rule for rule in forwards.apply(domain, netdev, after.forwards) if rule[0] == address]
        if refused:
            self.keep(domain, before)
            forwards.apply(domain, netdev, before.forwards)
            raise Exists(
                f"{address}:{refused[0][1]} cannot be forwarded: it is taken, or no address of the host",
                hint="choose another address or port",
            )

    def _check_free(self, address: str, ports: Mapping[int, int], seen: Seen) -> None:
        taken = self.taken(but=seen.uuid)
        for port in ports:
            if (address, port) in taken:
                raise Exists(f"{address}:{port} belongs to another VM", hint="cms vm ip list shows whose it is")

    def _free(self, tags: Tags, ports: Mapping[int, int]) -> str:
        """Return an address on which every one of the ports is free; a VM's own ones are not taken again."""
        taken = self.taken()
        for address, _port in network.endpoints(f"{tags.token}+", self.outside):
            ends = [(address, port) for port in ports]
            if address not in tags.forwards and not any(end in taken for end in ends):
                if self.link.local and not all(network.bindable(*end) for end in ends):
                    continue
                return address
        raise NoCapacity("no address is free", hint="cms vm ip list shows who has them")

    @talks
    def remove_address(self, vm: Vm, address: str) -> Vm:
        """Take an address away with all its ports; already gone is success."""
        with self.changing(vm) as (domain, seen):
            tags = self.own(seen, "changed")
            if address in tags.forwards:
                rest = {host: guests for host, guests in tags.forwards.items() if host != address}
                tags = self.keep(domain, tags.with_(forwards=rest))
            netdev = describe.netdev(seen.root)
            if seen.active and netdev:
                forwards.apply(domain, netdev, tags.forwards)
            return self.noun(seen.with_(tags=tags))


def _ports(ports: Mapping[str, int] | None, *, local: bool) -> dict[int, int]:
    if not ports:
        return {network.SSH_PORT: 22}
    try:
        pairs = [(int(port), int(guest)) for port, guest in ports.items()]
    except ValueError:
        raise Invalid(f"ports cannot be {dict(ports)}", hint="host port, then guest port: 8080:80") from None
    return network.check_ports(pairs, local=local)


def _must_forward(seen: Seen) -> None:
    if describe.source_of(seen.root) != "user":
        raise Unsupported(
            f"vm '{seen.name}' has no user-mode network, so nothing is forwarded to it",
            hint="it is reached at its own address",
        )
