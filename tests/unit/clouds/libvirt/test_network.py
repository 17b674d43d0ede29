"""Addresses, ports and the private network; forwards in a pretended QEMU monitor."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cloudms.clouds.libvirt import forwards, network
from cloudms.errors import Invalid, NotReady


@pytest.mark.parametrize(
    ("text", "source", "private"),
    [
        ("", "user", False), ("user", "user", False), ("private", "user", True), ("default", "network:default", False),
        ("bridge:br0", "bridge:br0", False),
    ],
)  # fmt: skip
def test_parse(text: str, source: str, private: bool) -> None:
    assert network.parse(text) == network.Choice(source=source, private=private)


def test_endpoints_are_the_same_for_a_token_and_spread_over_tokens() -> None:
    assert list(network.endpoints("t1")) == list(network.endpoints("t1"))
    first = {next(network.endpoints(f"token-{number}")) for number in range(500)}
    assert len(first) > 490
    assert all(address.startswith("127.77.") and port == 2222 for address, port in first)
    assert all(socket.inet_aton(address)[3] not in (0, 255) for address, _port in first)


def test_elsewhere_there_is_one_address_and_many_ports() -> None:
    found = list(network.endpoints("t1", "192.0.2.7"))
    assert {address for address, _port in found} == {"192.0.2.7"}
    assert len({port for _address, port in found}) == network.ATTEMPTS
    assert all(20000 <= port < 30000 for _address, port in found)


def test_choose_skips_what_vms_have_and_what_programs_have() -> None:
    with socket.create_server(("127.77.9.9", 0)) as server:
        taken = server.getsockname()
        candidates = [("127.77.9.8", 1), taken, ("127.77.9.7", taken[1])]
        assert network.choose(candidates, {("127.77.9.8", 1)}, probe=True) == ("127.77.9.7", taken[1])
        assert network.choose(candidates, {("127.77.9.8", 1)}, probe=False) == taken
        assert network.choose(candidates[:2], {("127.77.9.8", 1)}, probe=True) is None


def test_a_mac_is_qemus_and_its_own() -> None:
    assert network.mac("t", 0) == network.mac("t", 0) != network.mac("t", 1)
    assert network.mac("t", 0).startswith("52:54:00:") and len(network.mac("t", 0)) == 17


def test_private_addresses_do_not_collide() -> None:
    taken: set[str] = set()
    for _ in range(5):
        taken.add(network.private_address("same", taken))
    assert len(taken) == 5 and all(each.startswith("10.77.") for each in taken)
    assert network.group("ada") == network.group("ada") != network.group("bob")


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.256", "127.1", "::1"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(Invalid):
        network.check_address(address)


@pytest.mark.parametrize("ports", [[(80, 80)], [(0, 22)], [(2222, 70000)], [(70000, 22)]])
def test_ports_that_cannot_be_forwarded(ports: list[tuple[int, int]]) -> None:
    with pytest.raises(Invalid):
        network.check_ports(ports, local=False)


def test_the_hint_names_a_port_that_works() -> None:
    with pytest.raises(Invalid) as error:
        network.check_ports([(80, 80)], local=False)
    assert error.value.hint.startswith("use port 8080")
    assert network.check_ports([(8080, 80)], local=True) == {8080: 80}


def test_the_machine_of_a_uri() -> None:
    assert network.address_of("qemu+ssh://ada@localhost:22/system?x=1") == "127.0.0.1"
    with pytest.raises(NotReady, match="has no address"):
        network.address_of("qemu+ssh:///system")


class Monitor:
    """A pretended QEMU: it answers the three commands in QEMU's words, and refuses the addresses in `taken`."""

    def __init__(self, taken: set[str]) -> None:
        self.rules: dict[tuple[str, int], int] = {}
        self.taken = taken

    def qemuMonitorCommand(self, _domain: Any, command: str, flags: int) -> str:  # noqa: N802 (libvirt's name)
        assert flags == 1
        word, _, rest = command.partition(" ")
        if word == "info":
            head = (
                "Hub -1 (hostnet0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"
            )
            own = "  TCP[ESTABLISHED]   20    127.77.1.1  2222       10.0.2.15    22     0     0\n"
            lines = (
                f"  TCP[HOST_FORWARD]  12 {address:>15}  {port}       10.0.2.15    {guest}     0     0\n"
                for (address, port), guest in self.rules.items()
            )
            return head + own + "".join(lines)
        netdev, _, rule = rest.partition(" tcp:")
        assert netdev == "hostnet0"
        address, port, *guest = rule.replace("-:", ":").split(":")
        if word == "hostfwd_remove":
            known = self.rules.pop((address, int(port)), 0)
            return f"host forwarding rule for {rule} {'removed' if known else 'not found'}\n"
        if address in self.taken or (address, int(port)) in self.rules:
            return f"Could not set up host forwarding rule '{rule}'\n"
        self.rules[address, int(port)] = int(guest[0])
        return ""


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """Return the monitor that `forwards` talks to."""
    pretended = Monitor({"127.77.9.9"})
    monkeypatch.setattr(forwards, "qemu_sdk", lambda: pretended)
    return pretended


def test_forwards_become_what_is_wanted(monitor: Monitor) -> None:
    assert forwards.apply(None, "hostnet0", {"127.77.1.1": {2222: 22, 8080: 80}}, fresh=True) == []
    assert forwards.present(None) == {("127.77.1.1", 2222, 22), ("127.77.1.1", 8080, 80)}
    wanted = {"127.77.1.1": {2222: 22, 8081: 80}, "127.77.9.9": {2222: 22}}
    assert forwards.apply(None, "hostnet0", wanted) == [("127.77.9.9", 2222, 22)]
    assert monitor.rules == {("127.77.1.1", 2222): 22, ("127.77.1.1", 8081): 80}
    assert forwards.apply(None, "hostnet0", {}) == []
    assert monitor.rules == {}
