"""Making VMs: nothing is asked twice, what was made is found again, and batches get their names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.unit.clouds.openstack.answers import OWNER, PROJECT, Told, refused, server

from cloudms.clouds.openstack import guard, tags
from cloudms.clouds.openstack.driver import OpenStackCloud
from cloudms.errors import Exists, Invalid, NoCapacity, NotFound, NotReady, Unsupported
from cloudms.model import VmSpec, VmState

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ada@lab"
IMAGE = {"id": "i1", "name": "debian-12", "status": "active", "size": 1 << 20, "created_at": "2026-01-01T00:00:00Z"}
FLAVORS = [
    {"id": "f1", "name": "m1.tiny", "vcpus": 1, "ram": 512, "disk": 1},
    {"id": "f2", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20},
]
NETWORK = {"id": "n1", "name": "private", "project_id": PROJECT, "subnets": ["s"], "admin_state_up": True}
LIST, CREATE = "compute GET /servers/detail", "compute POST /servers"


class Nova:
    """What nova knows: servers that were made, by their ids."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.lose = 0
        self.groups: list[dict[str, Any]] = []

    def list(self, _body: Any, query: dict[str, list[str]]) -> dict[str, Any]:
        """Answer to a list, narrowed by tag or name as nova does."""
        rows = list(self.rows.values())
        if "tags" in query:
            rows = [row for row in rows if query["tags"][0] in row["tags"]]
        if "name" in query:
            assert "|" not in query["name"][0], "nova takes no choice of patterns"
            rows = [row for row in rows if re.search(query["name"][0], row["name"])]
        return {"servers": rows}

    def create(self, body: Any, _query: Any) -> Any:
        """Make servers, and lose the answer when that is wanted."""
        asked = body["server"]
        count = asked.get("max_count", 1)
        for number in range(1, count + 1):
            name = f"{asked['name']}-{number}" if count > 1 else asked["name"]
            ident = f"id{len(self.rows) + 1}"
            self.rows[ident] = server(
                ident, name, status="BUILD", metadata=dict(asked["metadata"]), tags=list(asked["tags"]),
                hostId="h", **{"OS-EXT-SRV-ATTR:hostname": name},
            )  # fmt: skip
        if self.lose:
            self.lose -= 1
            raise NotReady("the answer was lost")
        return {"server": {"id": ident, "adminPass": "hush"}}

    def one(self, ident: str) -> Any:
        """Answer about one server."""
        return lambda _body, _query: {"server": self.rows[ident]}


@pytest.fixture
def nova() -> Nova:
    """Return a nova without servers."""
    return Nova()


@pytest.fixture
def link(nova: Nova) -> Told:
    """Return the way to it, with an image, flavors and a network beside."""
    made: list[dict[str, Any]] = []

    def group(body: Any, _query: Any) -> Any:
        made.append({"id": f"sg{len(made) + 1}", "security_group_rules": [], **body["security_group"]})
        return {"security_group": made[-1]}

    def renamed(ident: str) -> Any:
        def put(body: Any, _query: Any) -> Any:
            nova.rows[ident]["name"] = body["server"]["name"]
            return {"server": nova.rows[ident]}

        return put

    table: dict[str, Any] = {
        LIST: nova.list, CREATE: nova.create, "image GET /images": {"images": [IMAGE]},
        "compute GET /flavors/detail": {"flavors": FLAVORS}, "network GET /networks": {"networks": [NETWORK]},
        "network GET /security-groups": lambda _body, query: {
            "security_groups": [row for row in made if row["name"] in query.get("name", [row["name"]])]
        },
        "network POST /security-groups": group, "network POST /security-group-rules": {},
        "compute GET /os-keypairs/.*": refused(404, "", "compute"),
        "compute POST /os-keypairs": {"keypair": {"name": "k", "public_key": KEY}},
        "compute GET /os-availability-zone": {"availabilityZoneInfo": [{"zoneName": "nova"}]},
        "compute GET /servers": lambda _body, _query: {
            "servers": [{"id": ident, "name": row["name"]} for ident, row in nova.rows.items()]
        },
        **{f"compute GET /servers/id{n}": nova.one(f"id{n}") for n in range(1, 9)},
        **{f"compute PUT /servers/id{n}": renamed(f"id{n}") for n in range(1, 9)},
    }  # fmt: skip
    return Told(table)


@pytest.fixture
def cloud(link: Told) -> OpenStackCloud:
    """Return the cloud."""
    found = OpenStackCloud(link.setup)
    found.link = link
    return found


def spec(number: int = 0, **more: Any) -> VmSpec:
    """Return the request of one VM, or that of one of a batch."""
    name, token = (f"web-{number}", f"abc.{number}") if number else ("web", "abc")
    values = {"name": name, "token": token, "image": "debian-12", "flavor": "m1.tiny", "owner": OWNER, "keys": (KEY,)}
    return VmSpec(**{**values, **more})


def test_a_vm_is_made_once_and_told_without_its_password(cloud: OpenStackCloud, link: Told) -> None:
    vm = cloud.create_vm(spec(hostname="web"))
    assert (vm.name, vm.token, vm.state, vm.image, vm.flavor) == ("web", "abc", VmState.PENDING, "debian-12", "m1.tiny")
    assert cloud.create_vm(spec()).id == vm.id
    (asked,) = link.said(CREATE)
    assert asked["server"]["networks"] == [{"uuid": "n1"}]
    assert asked["server"]["security_groups"] == [{"name": "sg1"}]
    assert asked["server"]["key_name"].startswith("cms-")
    assert "hush" not in str(vm.to_document())


def test_a_lost_answer_is_found_again_and_doubles_nothing(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    nova.lose = 1
    vm = cloud.create_vm(spec())
    assert vm.id == "id1"
    assert len(link.said(CREATE)) == 1


def test_an_answer_that_was_lost_with_its_request_is_an_error_that_may_be_tried_again(
    cloud: OpenStackCloud, link: Told, nova: Nova
) -> None:
    link.table[CREATE] = NotReady("nobody there")
    with pytest.raises(NotReady):
        cloud.create_vm(spec())
    link.table[CREATE] = nova.create
    assert cloud.create_vm(spec()).id == "id1"


def test_a_batch_is_one_request_and_gets_its_names(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    specs = [spec(n, name=f"web-{n + 6}", hostname=f"web-{n + 6}") for n in (1, 2, 3)]
    made = cloud.create_vms(specs)
    assert [(vm.name, vm.token) for vm in made] == [("web-7", "abc.1"), ("web-8", "abc.2"), ("web-9", "abc.3")]
    assert sorted(row["name"] for row in nova.rows.values()) == ["web-7", "web-8", "web-9"]
    assert len(link.said(CREATE)) == 1
    assert [vm.id for vm in cloud.create_vms(specs)] == [vm.id for vm in made]
    assert len(link.said(CREATE)) == 1


def test_names_that_nova_makes_itself_cost_no_request(cloud: OpenStackCloud, link: Told) -> None:
    assert [vm.name for vm in cloud.create_vms([spec(1), spec(2)])] == ["web-1", "web-2"]
    assert not link.said("compute PUT .*")


def test_a_vm_that_cannot_be_renamed_is_called_by_its_name_all_the_same_and_mended_later(
    cloud: OpenStackCloud, link: Told, nova: Nova
) -> None:
    works, link.table["compute PUT /servers/id2"] = link.table["compute PUT /servers/id2"], refused(409, "", "compute")
    made = cloud.create_vms([spec(n, name=f"vm{n}") for n in (1, 2)])
    assert [vm.name for vm in made] == ["vm1", "vm2"]
    assert nova.rows["id2"]["name"].startswith("vm1-")
    assert (cloud.detached(made[0]), cloud.detached(made[1].with_(raw={}))) == (False, True)
    link.table["compute PUT /servers/id2"] = works
    nova.rows["id2"]["hostId"] = ""

    def host(_body: Any, _query: Any) -> Any:
        if link.clock.slept:
            nova.rows["id2"]["hostId"] = "h"
        return {"server": dict(nova.rows["id2"])}

    link.table["compute GET /servers/id2"] = host
    assert cloud.mend(made[1]).name == "vm2"
    assert nova.rows["id2"]["name"] == "vm2"
    assert link.clock.slept


def test_a_batch_gets_its_names_once_nova_has_found_a_host(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    link.table[LIST] = lambda body, query: {
        "servers": [{**row, "hostId": ""} for row in nova.list(body, query)["servers"]]
    }
    made = cloud.create_vms([spec(n, name=f"vm{n}") for n in (1, 2)])
    assert [vm.name for vm in made] == ["vm1", "vm2"]
    assert not link.said("compute PUT .*")
    link.table[LIST] = nova.list
    assert {vm.name for vm in cloud.get_vms(made).values()} == {"vm1", "vm2"}
    assert sorted(row["name"] for row in nova.rows.values()) == ["vm1", "vm2"]
    cloud.get_vms(made)
    assert len(link.said("compute PUT .*")) == 2


def test_a_lost_answer_to_a_batch_is_found_again(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    nova.lose = 1
    assert [vm.id for vm in cloud.create_vms([spec(1), spec(2)])] == ["id1", "id2"]
    assert len(link.said(CREATE)) == 1


def test_what_was_deleted_from_a_batch_is_not_made_again(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    specs = [spec(n) for n in (1, 2, 3)]
    cloud.create_vms(specs)
    del nova.rows["id2"]
    again = cloud.create_vms(specs)
    assert [vm.state is VmState.TERMINATED for vm in again] == [False, True, False]
    assert len(link.said(CREATE)) == 1


def test_what_a_late_request_has_made_twice_is_deleted_but_for_the_oldest(
    cloud: OpenStackCloud, link: Told, nova: Nova
) -> None:
    cloud.create_vm(spec())
    nova.rows["id2"] = {**nova.rows["id1"], "id": "id2", "created": "2026-11-30T13:00:00Z"}
    nova.rows["id3"] = server("id3", "other", "other-token")
    link.table["compute DELETE /servers/id2"] = {}
    assert cloud.create_vm(spec()).id == "id1"
    assert [said for said, *_rest in link.asked if " DELETE " in said] == ["compute DELETE /servers/id2"]


def test_tokens_of_a_batch_are_numbered(cloud: OpenStackCloud) -> None:
    with pytest.raises(Invalid, match=r"TOKEN\.1"):
        cloud.create_vms([spec(2), spec(1)])


def test_a_name_is_taken_once_by_one_owner(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    nova.rows["id1"] = server("id1", "web", "other")
    nova.rows["id2"] = server("id2", "web-3", "more")
    with pytest.raises(Exists, match="a vm web already"):
        cloud.create_vm(spec())
    with pytest.raises(Exists, match="a vm web-3 already"):
        cloud.create_vms([spec(n) for n in range(1, 6)])
    assert not link.said(CREATE)
    nova.rows["id1"]["metadata"]["cms:owner"] = "grace"
    assert cloud.create_vm(spec()).id == "id3"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"image": "none"}, NotFound), ({"flavor": "none"}, NotFound), ({"network": "none"}, NotFound),
        ({"region": "R9"}, NotFound), ({"region": "R1/z9"}, NotFound), ({"options": {"open": "http"}}, Invalid),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_before_anything_is_made(
    cloud: OpenStackCloud, link: Told, more: dict[str, Any], kind: type[Exception]
) -> None:
    link.table["image GET /images"] = lambda _body, query: {
        "images": [IMAGE] if query.get("name") == ["debian-12"] else []
    }
    with pytest.raises(kind):
        cloud.create_vm(spec(**more))
    assert not link.said(CREATE)


def test_the_smallest_flavor_with_room_for_the_image_is_taken_where_none_is_named(
    cloud: OpenStackCloud, link: Told
) -> None:
    cloud.create_vm(spec(flavor=""))
    assert link.said(CREATE)[0]["server"]["flavorRef"] == "f1"
    link.table["image GET /images"] = {"images": [{**IMAGE, "id": "i2", "min_disk": 10, "min_ram": 1024}]}
    cloud.forget()
    cloud.create_vm(spec(name="b", token="b", flavor=""))
    assert link.said(CREATE)[1]["server"]["flavorRef"] == "f2"


def test_ports_get_a_group_of_their_own_which_goes_when_nothing_was_made(cloud: OpenStackCloud, link: Told) -> None:
    link.table[CREATE] = refused(403, '{"forbidden": {"message": "Quota exceeded for cores"}}', "compute")
    link.table["network DELETE /security-groups/sg2"] = {}
    with pytest.raises(NoCapacity):
        cloud.create_vm(spec(options={"open": [80, "53/udp"]}))
    groups = [body["security_group"]["name"] for body in link.said("network POST /security-groups")]
    assert groups == [guard.ssh_group(OWNER), guard.port_group("abc")]
    rules = [body["security_group_rule"] for body in link.said("network POST /security-group-rules")]
    assert {(r["security_group_id"], r["protocol"], r["port_range_min"], r["ethertype"]) for r in rules} == {
        ("sg1", "tcp", 22, "IPv4"), ("sg1", "tcp", 22, "IPv6"), ("sg2", "tcp", 80, "IPv4"), ("sg2", "tcp", 80, "IPv6"),
        ("sg2", "udp", 53, "IPv4"), ("sg2", "udp", 53, "IPv6"),
    }  # fmt: skip
    assert link.said("network DELETE /security-groups/sg2") == [None]


def test_a_cloud_without_groups_is_told_so(cloud: OpenStackCloud, link: Told) -> None:
    link._settings = link.settings.with_(security_groups=("none",))
    cloud.create_vm(spec())
    assert "security_groups" not in link.said(CREATE)[0]["server"]
    with pytest.raises(Unsupported):
        cloud.create_vm(spec(name="b", token="b", options={"open": [80]}))


def test_vms_that_are_spread_share_a_server_group_that_goes_with_the_last(cloud: OpenStackCloud, link: Told) -> None:
    groups: list[dict[str, Any]] = []

    def make(body: Any, _query: Any) -> Any:
        groups.append({"id": "g1", "members": ["id1", "id2"], **body["server_group"]})
        return {"server_group": groups[0]}

    link.table["compute GET /os-server-groups"] = lambda _body, _query: {"server_groups": groups}
    link.table["compute POST /os-server-groups"] = make
    link.table["compute DELETE /os-server-groups/g1"] = {}
    link.table["compute DELETE /servers/id."] = {}
    link.table["network GET /floatingips"] = {"floatingips": []}
    made = [cloud.create_vm(spec(name=n, token=n, options={"spread": "s1"})) for n in ("a", "b")]
    assert [body["os:scheduler_hints"] for body in link.said(CREATE)] == [{"group": "g1"}] * 2
    assert groups[0]["policy"] == "soft-anti-affinity"
    cloud.delete_vm(made[0])
    assert not link.said("compute DELETE /os-server-groups/g1")
    groups[0]["members"] = ["id2"]
    cloud.delete_vm(made[1])
    assert link.said("compute DELETE /os-server-groups/g1")


def test_an_older_nova_is_looked_through_without_tags(cloud: OpenStackCloud, link: Told, nova: Nova) -> None:
    link.versions["compute"] = (2, 40)
    nova.rows["id1"] = server("id1", "web", "abc")
    assert cloud.create_vm(spec()).id == "id1"
    assert all("tags" not in query for query in link.queries(LIST))
    assert tags.of(nova.rows["id1"]).token == "abc"
