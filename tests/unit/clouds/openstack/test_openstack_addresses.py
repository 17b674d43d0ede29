"""Floating IPs: where they come from, whose they are, and that a lost answer or another process doubles none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, Told, neutron, opened, refused, server

from cloudms.clouds.openstack import marks
from cloudms.clouds.openstack.addresses import Addressing
from cloudms.clouds.pool import kept_token
from cloudms.errors import Conflict, Exists, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Address, Vm

VM = Vm(name="web", id="s1", token="t1", region="R1", owner=OWNER)
PORT = {"id": "port1", "network_id": "n1", "fixed_ips": [{"ip_address": "10.0.0.5"}, {"ip_address": "fd00::5"}]}
IP = "203.0.113.9"


def floating(token: str = "", port: str | None = None, ip: str = IP, text: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": f"f-{ip}", "floating_ip_address": ip, "port_id": port, "floating_network_id": "ext", "revision_number": 3,
        "description": marks.description(token, OWNER, text) if token else "",
        "port_details": {"device_id": "s1", "device_owner": "compute:nova"} if port == "port1" else
        {"device_id": "s2", "device_owner": "compute:nova"} if port else None, **more,
    }  # fmt: skip


def shown(ip: str | None) -> dict[str, Any]:
    listed = [{"addr": ip, "version": 4, "OS-EXT-IPS:type": "floating"}] if ip else []
    return {"server": server(addresses={"private": [{"addr": "10.0.0.5", "version": 4}, *listed]})}


def table(*rows: dict[str, Any], after: str | None = IP, **more: Any) -> dict[str, Any]:
    return {
        "compute GET /servers/s1": [shown(None), shown(after)],
        "compute GET /servers/s2": {"server": server("s2", "other")},
        "network GET /ports": lambda _body, query: {"ports": [PORT] if "device_id" in query else [{"device_id": "r1"}]},
        "network GET /routers/r1": {"router": {"external_gateway_info": {"network_id": "ext"}}},
        "network GET /floatingips": {"floatingips": list(rows)},
        **more,
    }


def made(body: Any, _query: Any) -> dict[str, Any]:
    return {"floatingip": floating("x") | body["floatingip"]}


def test_a_new_address_carries_the_token_of_its_vm_and_leads_to_it_at_once() -> None:
    link = Told(table(**{"network POST /floatingips": made}))
    seen = opened(Addressing, link).set_address(VM)
    assert seen.public_ips == (IP,)
    (body,) = link.said("network POST /floatingips")
    assert body["floatingip"] == {
        "floating_network_id": "ext", "port_id": "port1", "fixed_ip_address": "10.0.0.5",
        "description": f"[cms:token=t1 cms:owner={OWNER}]",
    }  # fmt: skip


def test_an_address_whose_answer_was_lost_is_found_again() -> None:
    lost = NotReady("gone", details={"status": 0})
    there = {"floatingips": [floating("t1", "port1")]}
    listed = [{"floatingips": []}, {"floatingips": []}, {"floatingips": []}, there]
    link = Told(table(**{"network POST /floatingips": lost, "network GET /floatingips": listed}))
    assert opened(Addressing, link).set_address(VM).public_ips == (IP,)
    assert len(link.said("network POST /floatingips")) == 1


def test_a_refusal_is_not_taken_for_a_lost_answer() -> None:
    link = Told(table(**{"network POST /floatingips": neutron("OverQuota", 409, "Quota exceeded for floatingip")}))
    with pytest.raises(Exception, match="Quota") as caught:
        opened(Addressing, link).set_address(VM)
    assert caught.value.code == "no_capacity"  # type: ignore[attr-defined]


def test_a_vm_that_has_an_address_keeps_it() -> None:
    link = Told(table(floating("", "port1")))
    assert opened(Addressing, link).set_address(VM).public_ips == (IP,)
    with pytest.raises(Conflict, match="only one"):
        opened(Addressing, Told(table(floating("", "port1")))).set_address(VM, "203.0.113.10")


def test_the_one_that_was_made_for_the_vm_is_taken_and_nobody_s_is_taken_away() -> None:
    foreign, kept = floating("", ip="203.0.113.7"), floating("t7", ip="203.0.113.8", text=marks.KEPT)
    row = floating("t1")
    after = {"floatingip": {**row, "port_id": "port1"}}
    changed = {"network PUT /floatingips/.*": after, f"network GET /floatingips/f-{IP}": after}
    link = Told(table(foreign, kept, row, **changed))
    assert opened(Addressing, link).set_address(VM).public_ips == (IP,)
    assert link.said(f"network PUT /floatingips/f-{IP}") == [
        {"floatingip": {"port_id": "port1", "fixed_ip_address": "10.0.0.5"}}
    ]
    assert {"If-Match": "revision_number=3"} in link.headers


def test_somebody_who_was_quicker_keeps_the_address() -> None:
    link = Told(table(floating(""), **{"network PUT /floatingips/.*": refused(412)}))
    with pytest.raises(Exists, match="just been given"):
        opened(Addressing, link).set_address(VM, IP)
    theirs = {"floatingip": floating("", "port2")}
    changed = {"network PUT /floatingips/.*": {"floatingip": floating("", "port1")}}
    link = Told(table(floating(""), **changed, **{f"network GET /floatingips/f-{IP}": theirs}))
    with pytest.raises(Exists, match="just been given"):
        opened(Addressing, link).set_address(VM, IP)


def test_an_address_of_another_vm_is_refused_by_its_name() -> None:
    with pytest.raises(Exists, match="leads to other"):
        opened(Addressing, Told(table(floating("", "port2")))).set_address(VM, IP)


@pytest.mark.parametrize("wrong", ["nonsense", "256.1.1.1", "-rf", "fd00::1", "10.0.0.0/8"])
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(Invalid, match="IPv4"):
        opened(Addressing, Told({})).set_address(VM, wrong)


def test_ports_are_not_forwarded() -> None:
    with pytest.raises(Invalid, match="forwards no ports"):
        opened(Addressing, Told({})).set_address(VM, "", {"8080": 80})


def test_an_address_that_the_project_has_not_is_asked_for_and_refused() -> None:
    link = Told(table(**{"network POST /floatingips": refused(403)}))
    with pytest.raises(Invalid, match="no address"):
        opened(Addressing, link).set_address(VM, "203.0.113.77")


def test_what_was_made_for_a_vm_is_released_and_what_was_lent_is_not() -> None:
    link = Told(table(floating("t1", "port1"), after=None, **{"network DELETE /floatingips/.*": {}}))
    assert opened(Addressing, link).remove_address(VM, IP).public_ips == ()
    assert len(link.said("network DELETE /floatingips/.*")) == 1
    for row in (floating("", "port1"), floating("t9", "port1", text=marks.KEPT)):
        link = Told(table(row, after=None, **{"network PUT /floatingips/.*": {}}))
        assert opened(Addressing, link).remove_address(VM, IP).public_ips == ()
        assert link.said("network PUT /floatingips/.*") == [{"floatingip": {"port_id": None}}]


def test_one_that_is_kept_from_its_vm_does_not_go_with_it() -> None:
    link = Told(table(floating("t1", "port1"), after=None, **{"network PUT /floatingips/.*": {}}))
    opened(Addressing, link).detach_address(VM, IP)
    (body,) = link.said("network PUT /floatingips/.*")
    mark = marks.described(body["floatingip"])
    assert (mark.token, mark.owner, mark.text) == (kept_token("t1", IP), OWNER, marks.KEPT)


def test_what_is_gone_or_leads_elsewhere_is_left_alone() -> None:
    link = Told(table(floating("t2", "port2"), after=None))
    assert opened(Addressing, link).remove_address(VM, IP).public_ips == ()
    assert not link.said("network (PUT|DELETE) .*")


def test_the_fixed_address_cannot_be_taken_away() -> None:
    with pytest.raises(Invalid, match="its network"):
        opened(Addressing, Told(table())).remove_address(VM, "10.0.0.5")


def test_addresses_are_listed_with_their_vms() -> None:
    kept = floating("k", ip="203.0.113.1", text=marks.KEPT)
    link = Told(table(floating("t1", "port1"), kept, floating("", "port2", "203.0.113.2")))
    found = {each.name: each for each in opened(Addressing, link).list_addresses()}
    assert {name: each.vm for name, each in found.items()} == {IP: "web", "203.0.113.1": "", "203.0.113.2": "other"}
    assert (found[IP].token, found[IP].owner, found[IP].region) == ("", OWNER, "R1")  # its token is that of the VM
    assert found["203.0.113.1"].token == "k"
    assert link.queries("network GET /floatingips")[0] == {"project_id": ["p1"]}


def test_an_address_of_the_pool_is_taken_once_and_given_back() -> None:
    networks = {"networks": [{"id": "ext", "name": "public"}]}
    link = Told(table(**{"network POST /floatingips": made, "network GET /networks": networks}))
    taken = opened(Addressing, link).create_address("k1")
    assert (taken.token, taken.vm) == ("k1", "")
    assert marks.KEPT in link.said("network POST /floatingips")[0]["floatingip"]["description"]
    link = Told(table(floating("k1", text=marks.KEPT), **{"network DELETE /floatingips/.*": {}}))
    cloud = opened(Addressing, link)
    assert cloud.create_address("k1").name == IP
    cloud.delete_address(taken.with_(id=f"f-{IP}"))
    assert len(link.said("network DELETE /floatingips/.*")) == 1
    cloud.delete_address(Address(name="203.0.113.200", id="none", region="R1"))
    with pytest.raises(Conflict, match="leads to a VM"):
        opened(Addressing, Told(table(floating("k1", "port1")))).delete_address(taken.with_(id=f"f-{IP}"))


def test_several_public_networks_want_a_choice() -> None:
    networks = {"networks": [{"id": "e1", "name": "public"}, {"id": "e2", "name": "campus"}]}
    rows = {"network GET /networks": networks, "network POST /floatingips": made}
    with pytest.raises(Invalid, match="campus, public"):
        opened(Addressing, Told(table(**rows))).create_address("k1")
    link = Told(table(**rows), floating_network="campus")
    opened(Addressing, link).create_address("k1")
    assert link.said("network POST /floatingips")[0]["floatingip"]["floating_network_id"] == "e2"
    with pytest.raises(NotFound, match="nowhere"):
        opened(Addressing, Told(table(**rows), floating_network="nowhere")).create_address("k1")


def test_a_vm_without_a_way_out() -> None:
    no_router = {"network GET /ports": lambda _body, query: {"ports": [PORT] if "device_id" in query else []}}
    none = Told(table(**no_router, **{"network GET /networks": {"networks": []}}))
    with pytest.raises(Invalid, match="no router"):
        opened(Addressing, none).set_address(VM)
    outside = Told(table(**no_router, **{"network GET /networks": {"networks": [{"id": "n1", "name": "campus"}]}}))
    with pytest.raises(Unsupported, match="public already"):
        opened(Addressing, outside).set_address(VM)


def test_a_router_of_somebody_else_is_neutron_s_to_judge() -> None:
    rows = {
        "network GET /ports": lambda _body, query: {"ports": [PORT] if "device_id" in query else []},
        "network GET /networks": {"networks": [{"id": "ext", "name": "public"}]},
    }
    link = Told(table(**rows, **{"network POST /floatingips": made}))
    assert opened(Addressing, link).set_address(VM).public_ips == (IP,)
    error = neutron("ExternalGatewayForFloatingIPNotFound", 404, "not reachable")
    with pytest.raises(Invalid, match="no router leads"):
        opened(Addressing, Told(table(**rows, **{"network POST /floatingips": error}))).set_address(VM)


def test_what_was_made_for_a_vm_goes_with_it_and_nothing_else() -> None:
    kept = floating("t1", ip="203.0.113.2", text=marks.KEPT)
    rows = {"network DELETE /floatingips/.*": {}}
    link = Told(table(floating("t1", "port1"), floating("t2", ip="203.0.113.1"), kept, **rows))
    opened(Addressing, link).release_addresses(VM)
    assert [said for said, *_rest in link.asked if "DELETE" in said] == [f"network DELETE /floatingips/f-{IP}"]
