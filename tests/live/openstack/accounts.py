"""Accounts of the lab, its catalog of services, and the flavors, the image and the networks that every cloud has."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.live.openstack.places import FOLDER, ONE, PASSWORD, PORTS, TWO, Region, url
from tests.live.openstack.rest import Refused, Session

IMAGE = "blank"
METER = "meter"
"""The role of those who may see what a VM uses."""

FLAVORS = {
    "m1.tiny": (512, 1, 1),
    "m1.small": (2048, 1, 1),
    "m1.medium": (4096, 2, 40),
    "m1.huge": (1 << 20, 9999, 40),
}
"""Name → memory in MiB, vCPUs, disk in GiB; there is no room for the last one."""

FAULTY = "RegionFaulty"
"""The first region again, with a compute service that is reached through `dropper`."""


class Account(NamedTuple):
    """An ordinary member of a project of their own, both of the same name."""

    name: str
    project: str
    user: str

    @property
    def login(self) -> dict[str, str]:
        """Return how they log in, in the words of clouds.yaml."""
        return {
            "auth_url": f"{url('keystone')}/v3", "username": self.name, "password": PASSWORD,
            "project_name": self.name, "user_domain_name": "Default", "project_domain_name": "Default",
        }  # fmt: skip


def admin() -> Session:
    """Return the administrator."""
    return Session("admin", "admin")


def seed(region: Region) -> None:
    """Make in a region what every cloud has, and what tests need."""
    session = admin()
    if region is ONE:
        _service_account(session)
    _catalog(session, region)
    for name, (memory, vcpus, disk) in FLAVORS.items():
        flavor = {"name": name, "ram": memory, "vcpus": vcpus, "disk": disk, "id": name}
        session("POST", region("nova"), "flavors", {"flavor": flavor})
    outside = {
        "name": "public", "router:external": True, "shared": False, "provider:network_type": "flat",
        "provider:physical_network": "public",
    }  # fmt: skip
    network = session("POST", region("neutron"), "networks", {"network": outside})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": False}
    session("POST", region("neutron"), "subnets", {"subnet": subnet})
    if region is ONE:
        _image(session)
        make("demo")


def _service_account(session: Session) -> None:
    session("POST", "keystone", "roles", {"role": {"name": METER}})
    account = _person(session, "service")
    for role in ("admin", "service"):
        _grant(session, account, role)


def _catalog(session: Session, region: Region) -> None:
    known = {row["type"]: row["id"] for row in session("GET", "keystone", "services")["services"]}
    for kind, (name, where) in _endpoints(region).items():
        if kind not in known:
            service = {"type": kind, "name": name}
            known[kind] = session("POST", "keystone", "services", {"service": service})["service"]["id"]
        for place, address in _places(kind, region, where):
            _region(session, place)
            if (kind, place) != ("identity", ONE.name):
                endpoint = {"service_id": known[kind], "interface": "public", "region_id": place, "url": address}
                session("POST", "keystone", "endpoints", {"endpoint": endpoint})


def _endpoints(region: Region) -> dict[str, tuple[str, str]]:
    own = {"placement": "", "compute": "/v2.1", "network": "", "block-storage": "/v3"}
    names = {"placement": "placement", "compute": "nova", "network": "neutron", "block-storage": "cinder"}
    found = {"identity": ("keystone", f"{url('keystone')}/v3"), "image": ("glance", url("glance"))}
    for kind, path in own.items():
        if region is ONE or kind != "block-storage":
            found[kind] = (names[kind], url(region(names[kind])) + path)
    return found


def _places(kind: str, region: Region, where: str) -> Iterator[tuple[str, str]]:
    yield region.name, where
    if region is ONE:
        yield FAULTY, f"http://127.0.0.1:{PORTS['dropper']}/v2.1" if kind == "compute" else where


def _region(session: Session, name: str) -> None:
    try:
        session("POST", "keystone", "regions", {"region": {"id": name}})
    except Refused as error:
        if error.status != 409:
            raise


def _image(session: Session) -> None:
    about = {"name": IMAGE, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    image = session("POST", "glance", "images", {**about, "min_disk": 1})["id"]
    session("PUT", "glance", f"images/{image}/file", b"\0" * (1 << 20))


def _person(session: Session, name: str) -> Account:
    project = session("POST", "keystone", "projects", {"project": {"name": name, "domain_id": "default"}})["project"]
    person = {"name": name, "password": PASSWORD, "domain_id": "default", "default_project_id": project["id"]}
    user = session("POST", "keystone", "users", {"user": person})["user"]
    return Account(name, project["id"], user["id"])


def _grant(session: Session, account: Account, role: str) -> None:
    (found,) = session("GET", "keystone", f"roles?name={role}")["roles"]
    session("PUT", "keystone", f"projects/{account.project}/users/{account.user}/roles/{found['id']}")


def make(name: str = "", region: Region = ONE, roles: Sequence[str] = ()) -> Account:
    """Make a project with a member, who may have more roles, and a network of theirs that leads outside."""
    session = admin()
    account = _person(session, name or f"lab-{uuid.uuid4().hex[:8]}")
    for role in ("member", *roles):
        _grant(session, account, role)
    network(account, region)
    return account


def network(account: Account, region: Region) -> None:
    """Give an account a network in a region, and a router from there to the outside."""
    session, neutron = admin(), region("neutron")

    def put(kind: str, **about: Any) -> str:
        made = session("POST", neutron, f"{kind}s", {kind: {**about, "project_id": account.project}})
        return str(made[kind]["id"])

    outside = session("GET", neutron, "networks?name=public")["networks"][0]["id"]
    inside = put("network", name="private")
    subnet = put("subnet", name="private", network_id=inside, ip_version=4, cidr="10.0.0.0/16")
    router = put("router", name="router", external_gateway_info={"network_id": outside})
    session("PUT", neutron, f"routers/{router}/add_router_interface", {"subnet_id": subnet})


def limit(account: Account, **limits: int) -> None:
    """Set quotas of a project: instances, cores, ram, volumes, gigabytes, floatingip …"""
    session = admin()
    for service, path, names in (
        ("nova", f"os-quota-sets/{account.project}", ("instances", "cores", "ram", "key_pairs")),
        ("cinder", f"os-quota-sets/{account.project}", ("volumes", "gigabytes", "snapshots")),
        ("neutron", f"quotas/{account.project}", ("floatingip", "security_group", "port")),
    ):
        chosen = {name: limits[name] for name in names if name in limits}
        if chosen:
            session("PUT", service, path, {"quota" if service == "neutron" else "quota_set": chosen})


def clouds() -> Mapping[str, Any]:
    """Return what stands in clouds.yaml: a member, and the administrator."""
    named = {"lab": Account("demo", "", ""), "lab-admin": Account("admin", "", "")}
    return {
        "clouds": {name: {"region_name": ONE.name, "auth": account.login} for name, account in named.items()}
    }  # fmt: skip


def write_clouds() -> None:
    """Write clouds.yaml, in the part of YAML that is JSON."""
    (FOLDER / "clouds.yaml").write_text(json.dumps(clouds(), indent=2))


def spaces() -> str:
    """Return what the message bus begins with: its user, and a space for the messages of each region."""
    names = [region.vhost or "/" for region in (ONE, TWO)]
    every = {"configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps(
        {
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"user": "guest", "vhost": name, **every} for name in names],
        }
    )
