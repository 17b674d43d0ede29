"""The lab as tests see it: accounts of their own, what is there of them, and services that die and come back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.live.openstack import accounts, bringup, lending, processes
from tests.live.openstack.accounts import Account
from tests.live.openstack.places import FOLDER, ONE, TWO, Region
from tests.live.openstack.rest import Session

MADE = ("server", "port", "address", "snapshot", "volume", "secgroup", "key")
"""What a test can leave behind."""


class Lab:
    """A running OpenStack."""

    def __init__(self) -> None:
        self.admin = accounts.admin()
        self.clouds = FOLDER / "clouds.yaml"

    def account(self, *, two: bool = False, roles: Sequence[str] = (), **limits: int) -> Account:
        """Return a new account, in both regions with `two`; `roles` are those beside member, `limits` its quotas."""
        if two:
            lending.start(two=True)
        account = accounts.make(roles=roles)
        if two:
            accounts.network(account, TWO)
        accounts.limit(account, **limits)
        return account

    def things(self, account: Account, *kinds: str, region: Region = ONE) -> list[dict[str, Any]]:
        """Return what an account has, as the services tell it, each with its `kind`."""
        found: list[dict[str, Any]] = []
        for kind in kinds or MADE:
            for row in _LISTS[kind](self, account, region):
                found.append({**row, "kind": kind})
        return found

    def settle(self, account: Account, region: Region = ONE, patience: float = 60.0) -> None:
        """Wait until nothing of an account is on its way any more, for at most so many seconds."""
        end = time.monotonic() + patience
        while time.monotonic() < end and any(map(_moves, self.things(account, "server", "volume", region=region))):
            time.sleep(0.5)

    def left(self, account: Account, region: Region = ONE) -> list[str]:
        """Return what an account has, in words, when it has settled."""
        self.settle(account, region)
        things = self.things(account, region=region)
        return [f"{thing['kind']} {thing.get('name') or thing['id']} ({thing.get('status')})" for thing in things]

    def wipe(self, account: Account, *, two: bool = False) -> None:
        """Take an account away, with all it has."""
        for region in (ONE, TWO) if two else (ONE,):
            self._wipe(account, region)
        self.admin.gone("keystone", f"users/{account.user}")
        self.admin.gone("keystone", f"projects/{account.project}")

    def _wipe(self, account: Account, region: Region) -> None:
        self.empty(account, region)
        neutron = region("neutron")
        mine = f"?project_id={account.project}"
        for router in self.admin("GET", neutron, f"routers{mine}")["routers"]:
            for port in self.admin("GET", neutron, f"ports?device_id={router['id']}")["ports"]:
                if port["device_owner"] == "network:router_interface":
                    where = f"routers/{router['id']}/remove_router_interface"
                    self.admin("PUT", neutron, where, {"port_id": port["id"]})
            self.admin.gone(neutron, f"routers/{router['id']}")
        for network in self.admin("GET", neutron, f"networks{mine}")["networks"]:
            self.admin.gone(neutron, f"networks/{network['id']}")
        for group in self.admin("GET", neutron, f"security-groups{mine}")["security_groups"]:
            self.admin.gone(neutron, f"security-groups/{group['id']}")

    def empty(self, account: Account, region: Region = ONE) -> None:
        """Delete all that an account has made."""
        for kind in MADE:
            for thing in self.things(account, kind, region=region):
                if kind == "volume" and thing["status"] not in ("available", "error"):
                    self._free(thing)
                self.admin.gone(*_path(kind, thing, account, region))
            end = time.monotonic() + 60
            while kind in ("server", "snapshot", "volume") and self.things(account, kind, region=region):
                assert time.monotonic() < end, f"{kind}s of {account.name} do not go"
                time.sleep(0.2)

    def _free(self, volume: dict[str, Any]) -> None:
        """Make a volume one that can be deleted, whatever it was in the middle of."""
        states = {"status": "available", "attach_status": "detached", "migration_status": "none"}
        self.admin("POST", "cinder", f"volumes/{volume['id']}/action", {"os-reset_status": states})

    def kill(self, name: str) -> None:
        """End a service as a crash does."""
        processes.tell(name, signal.SIGKILL)
        processes.stop([name])

    @contextmanager
    def without(self, *names: str) -> Iterator[None]:
        """Let services be dead for a while; nobody else can start them meanwhile."""
        with bringup.alone():
            for name in names:
                self.kill(name)
            try:
                yield
            finally:
                for name in names:
                    bringup.again(name)


@contextmanager
def borrowed() -> Iterator[Lab]:
    """Return the lab, started if it does not run; it is ended when the last test leaves that shares it."""
    with lending.held():
        lending.start()
        yield Lab()


@contextmanager
def calm() -> Iterator[None]:
    """Let no other test break the lab meanwhile."""
    with lending.locked("calm", exclusive=False):
        yield


@contextmanager
def storm() -> Iterator[None]:
    """Be the only one that uses the lab, to break it."""
    with lending.locked("calm", exclusive=True):
        yield


def clouds_yaml() -> Path:
    """Return the file with which any OpenStack tool finds the lab, as the clouds `lab` and `lab-admin`."""
    return FOLDER / "clouds.yaml"


def _moves(thing: dict[str, Any]) -> bool:
    state = str(thing.get("status", "")).lower()
    if state == "error":  # whatever it was at, it is not any more
        return False
    return bool(thing.get("OS-EXT-STS:task_state")) or state.endswith("ing") or state in ("build", "resize")


def _servers(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    path = f"servers/detail?all_tenants=1&project_id={account.project}"
    found: list[dict[str, Any]] = []
    while True:
        page = lab.admin("GET", region("nova"), path + (f"&marker={found[-1]['id']}" if found else ""))
        found += page["servers"]
        if not page.get("servers_links"):
            return found


def _ports(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    rows = lab.admin("GET", region("neutron"), f"ports?project_id={account.project}")["ports"]
    return [row for row in rows if not row["device_owner"].startswith("network:")]


def _addresses(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    rows = lab.admin("GET", region("neutron"), f"floatingips?project_id={account.project}")["floatingips"]
    return [{**row, "name": row["floating_ip_address"]} for row in rows]


def _volumes(lab: Lab, account: Account, region: Region, kind: str = "volumes") -> list[dict[str, Any]]:
    if region is TWO:
        return []
    rows: list[dict[str, Any]] = lab.admin(
        "GET", "cinder", f"{kind}/detail?all_tenants=1&project_id={account.project}"
    )[kind]
    return rows


def _snapshots(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    return _volumes(lab, account, region, "snapshots")


def _secgroups(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    rows = lab.admin("GET", region("neutron"), f"security-groups?project_id={account.project}")["security_groups"]
    return [row for row in rows if row["name"] != "default"]


def _keys(lab: Lab, account: Account, region: Region) -> list[dict[str, Any]]:
    rows = lab.admin("GET", region("nova"), f"os-keypairs?user_id={account.user}")["keypairs"]
    return [{**row["keypair"], "id": row["keypair"]["name"]} for row in rows]


_LISTS = {
    "server": _servers, "port": _ports, "address": _addresses, "volume": _volumes, "snapshot": _snapshots,
    "secgroup": _secgroups, "key": _keys,
}  # fmt: skip


def _path(kind: str, thing: dict[str, Any], account: Account, region: Region) -> tuple[str, str]:
    where = {
        "server": (region("nova"), "servers/{id}"), "port": (region("neutron"), "ports/{id}"),
        "address": (region("neutron"), "floatingips/{id}"), "volume": ("cinder", "volumes/{id}"),
        "snapshot": ("cinder", "snapshots/{id}"), "secgroup": (region("neutron"), "security-groups/{id}"),
        "key": (region("nova"), "os-keypairs/{id}?user_id={user}"),
    }  # fmt: skip
    service, path = where[kind]
    return service, path.format(id=thing["id"], user=account.user)


def session_of(account: Account) -> Session:
    """Return the member of an account."""
    return Session(account.name, account.name)
