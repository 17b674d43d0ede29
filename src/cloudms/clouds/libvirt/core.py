"""What every part of the libvirt cloud stands on: its connection, its pool, finding a VM and changing it alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID, uuid5
from xml.etree.ElementTree import Element, SubElement, tostring

from cloudms.clouds.base import Cloud, Setup
from cloudms.clouds.libvirt import describe, forwards, guest, host, network
from cloudms.clouds.libvirt.bases import Bases
from cloudms.clouds.libvirt.describe import Seen
from cloudms.clouds.libvirt.errors import is_code, plain
from cloudms.clouds.libvirt.link import Link, sdk
from cloudms.clouds.libvirt.pool import Pool
from cloudms.clouds.libvirt.tags import ELEMENT as TAGS
from cloudms.clouds.libvirt.tags import NAMESPACE, PREFIX, Tags, from_element
from cloudms.clouds.view import View, origin_of, view_of
from cloudms.errors import Conflict, NotFound, NotReady
from cloudms.model import Origin, Vm, VmState

IDENTITY = UUID("7f9f0d5e-6b7b-5c0e-9d0b-0c1d5a6c2e11")
"""The name space of our VMs' uuids, which follow from the token: two runs with one token cannot make two VMs."""
LIVE, CONFIG = 1, 2  # VIR_DOMAIN_AFFECT_…
ELEMENT = 2  # VIR_DOMAIN_METADATA_ELEMENT
START_S = 60.0


def uuid_of(token: str) -> str:
    """Return the id of the VM that is made with `token`."""
    return str(uuid5(IDENTITY, token))


class Core(Cloud):
    """Connection, pool, and the way from a noun to a domain and back."""

    kind: ClassVar[str] = "libvirt"
    extra: ClassVar[str] = "libvirt"
    width: ClassVar[int] = 8
    default_wait: ClassVar[str] = "ready"
    costs_money: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = setup.options
        self.link = Link(str(options.get("uri") or host.default_uri()), self.clock, setup)
        self.uri = self.link.uri
        self.pool = Pool(self.link, str(options.get("pool") or ""), str(options.get("pool_path") or ""))
        self.bases = Bases(self.pool)

    def close(self) -> None:
        """Give the connection back."""
        self.link.close()

    @property
    def view(self) -> View:
        """Return who looks, now."""
        return view_of(self.name, self.setup.owner, self.clock.now(), self.setup.default)

    # -- finding and reading -------------------------------------------------------------------------------------

    def domains(self) -> list[Any]:
        """Return every domain of this libvirt."""
        return list(self.link.open().listAllDomains(0))

    def read(self, domain: Any) -> Seen:
        """Return a domain as it is now."""
        state, reason = domain.state(0)
        xml = domain.XMLDesc(0)
        root = describe.parse(xml)
        seen = Seen(
            uuid=domain.UUIDString(), name=domain.name(), xml=xml, root=root, tags=describe.tags_of(root),
            state=state, reason=reason,
        )  # fmt: skip
        if not seen.active:
            return seen.with_(saved=bool(domain.isPersistent() and domain.hasManagedSaveImage(0)))
        if describe.source_of(root) not in ("user", ""):
            return seen.with_(ips=guest.addresses(domain, agent=describe.agent_answers(root)))
        return seen

    def read_safely(self, domain: Any) -> Seen | None:
        """Return a domain as it is now; None when it has just gone, and what is known when it cannot be read."""
        try:
            return self.read(domain)
        except sdk().libvirtError as error:
            if is_code(error, "NO_DOMAIN"):
                return None
            empty = describe.parse("")
            return Seen(uuid=domain.UUIDString(), name=domain.name(), xml=plain(str(error)), root=empty, state=-1)

    def lookup(self, vm: Vm) -> Any | None:
        """Return the domain with the id or else the token of `vm`, or None."""
        conn = self.link.open()
        for uuid in filter(None, (vm.id, uuid_of(vm.token) if vm.token and not vm.id else "")):
            try:
                return conn.lookupByUUIDString(uuid)
            except sdk().libvirtError as error:
                if not is_code(error, "NO_DOMAIN", "INVALID_ARG"):
                    raise
        if vm.id or not vm.token:
            return None
        adopted = ((domain, self.tags(domain)) for domain in self.domains())
        return next((domain for domain, tags in adopted if tags and tags.token == vm.token), None)

    def tags(self, domain: Any) -> Tags | None:
        """Return our tags on a domain without reading all of it, or None."""
        try:
            text = domain.metadata(ELEMENT, NAMESPACE, 0)
        except sdk().libvirtError as error:
            if is_code(error, "NO_DOMAIN_METADATA", "NO_DOMAIN"):
                return None
            raise
        return from_element(describe.parse(text))

    def find(self, vm: Vm) -> tuple[Any, Seen]:
        """Return the domain of `vm` and how it is now. Raises: NotFound."""
        domain = self.lookup(vm)
        if domain is None:
            raise NotFound(f"vm '{vm.name}' is not on {self.uri}", details={"vm": vm.name})
        return domain, self.read(domain)

    def noun(self, seen: Seen) -> Vm:
        """Return the noun of a domain that was read."""
        return describe.vm(seen, self.view)

    def show(self, domain: Any) -> Vm:
        """Return the noun of a domain as it is now."""
        return self.noun(self.read(domain))

    # -- changing ------------------------------------------------------------------------------------------------

    @contextmanager
    def changing(self, vm: Vm) -> Iterator[tuple[Any, Seen]]:
        """Give the domain of `vm` and how it is, to one change at a time. Raises: NotFound, Conflict."""
        with self.pool.lock(vm.id or uuid_of(vm.token), f"vm '{vm.name}'"):
            domain, seen = self.find(vm)
            yield domain, self.started(domain, seen)

    def started(self, domain: Any, seen: Seen) -> Seen:
        """Return how a domain is once libvirt is no longer busy starting it (for a run that was killed meanwhile)."""
        deadline = self.clock.monotonic() + START_S
        while (seen.state, seen.reason) == describe.STARTING and self.clock.monotonic() < deadline:
            self.clock.sleep(0.05)
            seen = self.read(domain)
        return seen

    def keep(self, domain: Any, tags: Tags) -> Tags:
        """Put our tags on a domain, on the running and the stored one where there are both, and return them."""
        flags = (LIVE if domain.isActive() else 0) | (CONFIG if domain.isPersistent() else 0)
        domain.setMetadata(ELEMENT, tags.to_text(), PREFIX, NAMESPACE, flags)
        return tags

    def intend(self, domain: Any, tags: Tags, intent: str, **more: Any) -> Tags:
        """Write down on the domain what is about to be done, so that `mend` can end it after a kill."""
        return self.keep(domain, tags.with_(intent=intent, intent_at=self.clock.now(), **more))

    def settle(self, domain: Any, tags: Tags) -> Tags:
        """Write down that what was begun has ended, if anything was."""
        if not tags.intent:
            return tags
        return self.keep(domain, tags.with_(intent="", intent_at=None, target="", was_on=False))

    def redefine(self, root: Element, tags: Tags) -> Any:
        """Define a domain anew from its changed XML, with these tags, and return it."""
        metadata = root.find("metadata")
        if metadata is None:
            metadata = SubElement(root, "metadata")
        for old in metadata.findall(TAGS):
            metadata.remove(old)
        metadata.append(tags.to_element())
        return self.link.open().defineXML(tostring(root, "unicode"))

    def switch_on(self, domain: Any, *, fresh: bool = False) -> None:
        """Start a domain, from its saved memory if it has one; already running is success.

        Parameters: `fresh`, its disk is new, so that an earlier one's UEFI variables must not stay.
        """
        self.link.ready_to_start()
        reset = fresh and describe.firmware_of(describe.parse(domain.XMLDesc(0))) == "uefi"
        try:
            domain.createWithFlags(getattr(sdk(), "VIR_DOMAIN_START_RESET_NVRAM", 0) if reset else 0)
        except sdk().libvirtError:
            if not _is_active(domain):
                raise

    def switch_off(self, domain: Any) -> None:
        """Take the power from a domain; already off is success."""
        try:
            domain.destroy()
        except sdk().libvirtError:
            if _is_active(domain):
                raise

    def open_ports(self, domain: Any, seen: Seen, *, fresh: bool) -> Tags:
        """Bring the forwards of a running domain to what its tags say, and return the tags.

        An address of our own choice that is refused (another program or user took it meanwhile) gives way to another.
        """
        tags = seen.tags or Tags()
        netdev = describe.netdev(seen.root)
        if not netdev or not seen.active:
            return tags
        refused = {rule[0] for rule in forwards.apply(domain, netdev, tags.forwards, fresh=fresh)}
        for address in refused & {ssh for ssh, _port in self._own_endpoints(tags)}:
            tags = self._move(domain, netdev, tags, address)
        return tags

    def _own_endpoints(self, tags: Tags) -> list[network.Endpoint]:
        """Return the forwards to SSH on addresses that we chose."""
        ours = (f"{network.LOOPBACK}.", self.outside or network.LOOPBACK)
        return [
            (address, port)
            for address, ports in tags.forwards.items()
            for port, inside in ports.items()
            if inside == 22 and address.startswith(ours)
        ]

    def _move(self, domain: Any, netdev: str, tags: Tags, old: str) -> Tags:
        """Give the VM another address in place of `old`, with the same ports."""
        taken = self.taken(but=domain.UUIDString())
        for address, port in network.endpoints(tags.token, self.outside):
            ports = {(port if guest == 22 else at): guest for at, guest in tags.forwards[old].items()}
            if (address, port) in taken or forwards.apply(domain, netdev, {address: ports}, fresh=True):
                continue
            rest = {each: ports for each, ports in tags.forwards.items() if each != old}
            moved = tags.with_(forwards={address: ports, **rest})
            forwards.apply(domain, netdev, moved.forwards)
            return self.keep(domain, moved)
        return tags

    # -- what others have ----------------------------------------------------------------------------------------

    @property
    def outside(self) -> str:
        """Return the address of a hypervisor elsewhere, where forwards are reached; empty for this machine."""
        chosen = self.setup.options.get("forward_address")
        if chosen:
            return network.check_address(str(chosen))
        return "" if self.link.local else network.address_of(self.uri)

    def taken(self, but: str = "") -> set[network.Endpoint]:
        """Return the endpoints that VMs have, running or not, except the VM with the id `but`."""
        return {
            (address, port)
            for domain in self.domains()
            if domain.UUIDString() != but
            for address, ports in (self.tags(domain) or Tags()).forwards.items()
            for port in ports
        }

    def demand(self, seen: Seen, allowed: frozenset[VmState], action: str) -> VmState:
        """Return the state of a VM when `action` is possible in it.

        Raises: Conflict (being deleted), NotReady (any other state; `details` names it).
        """
        now, _reason = describe.state_of(seen, self.clock.now())
        details = {"vm": seen.name, "state": str(now)}
        if now is VmState.TERMINATING and now not in allowed:
            raise Conflict(f"vm '{seen.name}' is being deleted", details=details)
        if now not in allowed:
            hint = f"it must be {' or '.join(sorted(allowed))}"
            raise NotReady(f"vm '{seen.name}' is {now}: cannot {action}", hint=hint, details=details)
        return now

    def own(self, seen: Seen, action: str) -> Tags:
        """Return the tags of a VM that is in our care. Raises: Conflict (made by somebody else)."""
        if seen.tags is None or origin_of(seen.tags, self.setup.owner) is Origin.FOREIGN:
            whose = f"belongs to {seen.tags.owner}" if seen.tags and seen.tags.owner else "was made elsewhere"
            raise Conflict(f"vm '{seen.name}' {whose} and will not be {action}", hint=f"cms vm adopt {seen.name}")
        return seen.tags


def _is_active(domain: Any) -> bool:
    try:
        return bool(domain.isActive())
    except sdk().libvirtError:
        return False
