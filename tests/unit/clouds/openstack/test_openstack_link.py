"""The way to OpenStack: signing in, regions, microversions, pages, and that nothing is asked twice unseen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.clouds.openstack.wire import Wire, linked, wired

from cloudms.clouds.openstack import catalogue
from cloudms.clouds.openstack.errors import unclear
from cloudms.errors import Denied, Invalid, NotFound, NotReady, Throttled, Unsupported


@pytest.fixture(autouse=True)
def no_clouds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no configuration of this machine in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Return an OpenStack with one region."""
    with wired() as found:
        yield found


def test_one_sign_in_serves_every_service_and_the_versions_are_those_that_both_know(wire: Wire) -> None:
    wire.table["GET /nova/v2.1/servers"] = 200, {"servers": []}
    wire.table["GET /glance/v2/images"] = 200, {"images": []}
    wire.table["GET /neutron/v2.0/networks"] = 200, {"networks": []}
    wire.table["GET /cinder/v3/p1/volumes"] = 200, {"volumes": []}
    with linked(wire) as link:
        assert (link.region, link.regions, link.project) == ("R1", ("R1",), "p1")
        for service, path in (
            ("compute", "servers"),
            ("image", "images"),
            ("network", "networks"),
            ("volume", "volumes"),
        ):
            assert link.get(service, f"/{path}") == {path: []}
        assert (link.version("compute"), link.version("volume"), link.version("network")) == ((2, 96), (3, 59), (0, 0))
    assert wire.tokens == 1
    sent = {what: headers for (what, _query, _body), headers in zip(wire.asked, wire.headers, strict=True)}
    assert sent["GET /nova/v2.1/servers"]["OpenStack-API-Version"] == "compute 2.96"
    assert sent["GET /cinder/v3/p1/volumes"]["OpenStack-API-Version"] == "volume 3.59"
    assert "OpenStack-API-Version" not in sent["GET /neutron/v2.0/networks"]
    assert sent["GET /glance/v2/images"]["X-Auth-Token"] == "token1"
    assert sent["GET /glance/v2/images"]["User-Agent"].startswith("cloudms/")


def test_an_older_nova_is_spoken_to_in_its_own_version(wire: Wire) -> None:
    wire.table["GET /nova/v2.1/"] = 200, {"version": {"version": "2.60", "min_version": "2.1"}}
    with linked(wire) as link:
        assert link.version("compute") == (2, 60)
    wire.table["GET /nova/v2.1/"] = 404, None
    with linked(wire) as link:
        assert link.version("compute") == (0, 0)
    wire.table["GET /nova/v2.1/"] = 200, {"version": {"version": "2.200", "min_version": "2.150"}}
    with linked(wire) as link, pytest.raises(Unsupported, match="nothing older than"):
        link.version("compute")


def nova(marker: int) -> dict[str, Any]:
    """Say where a list goes on as nova, neutron and cinder do, with an address that is good inside only."""
    return {"servers_links": [{"rel": "next", "href": f"http://host:8774/v2.1/servers?marker={marker}"}]}


def glance(marker: int) -> dict[str, Any]:
    """Say it as glance does."""
    return {"next": f"/v2/servers?marker={marker}"}


def keystone(marker: int) -> dict[str, Any]:
    """Say it as keystone does."""
    return {"links": {"next": f"http://host/v3/servers?marker={marker}", "previous": None}}


@pytest.mark.parametrize("links", [nova, glance, keystone])
def test_every_way_of_saying_where_a_list_goes_on_is_followed(wire: Wire, links: Any) -> None:
    def page(query: Any, _body: Any) -> tuple[int, Any]:
        at = int(query.get("marker", ["0"])[0])
        return 200, {"servers": [{"id": str(at)}], **(links(at + 1) if at < 3 else {})}

    wire.table["GET /nova/v2.1/servers"] = page
    with linked(wire) as link:
        assert [row["id"] for row in link.pages("compute", "/servers", "servers")] == ["0", "1", "2", "3"]


def test_a_full_page_without_a_link_goes_on_behind_its_last_row(wire: Wire) -> None:
    rows = [{"id": str(n)} for n in range(5)]

    def page(query: Any, _body: Any) -> tuple[int, Any]:
        begin = int(query["marker"][0]) + 1 if "marker" in query else 0
        return 200, {"ports": rows[begin : begin + int(query["limit"][0])]}

    wire.table["GET /neutron/v2.0/ports"] = page
    with linked(wire) as link:
        assert list(link.pages("network", "/ports", "ports", limit=2, device_id="x")) == rows
    assert all(query["device_id"] == ["x"] for query, _body in wire.said("GET /neutron/v2.0/ports"))


def test_a_list_that_leads_to_itself_ends(wire: Wire) -> None:
    wire.table["GET /nova/v2.1/servers"] = (
        200,
        {"servers": [{"id": "1"}], "servers_links": [{"rel": "next", "href": "?marker=1"}]},
    )
    with linked(wire) as link:
        assert len(list(link.pages("compute", "/servers", "servers"))) == 2


def test_the_rows_before_a_broken_page_are_handed_out(wire: Wire) -> None:
    def page(query: Any, _body: Any) -> tuple[int, Any]:
        if "marker" in query:
            return 503, {"error": {"message": "too busy"}}
        return 200, {"servers": [{"id": "1"}], "servers_links": [{"rel": "next", "href": "?marker=1"}]}

    wire.table["GET /nova/v2.1/servers"] = page
    seen = []
    with linked(wire) as link, pytest.raises(NotReady, match="too busy"):
        seen.extend(row["id"] for row in link.pages("compute", "/servers", "servers"))
    with linked(wire) as link:
        rows = link.pages("compute", "/servers", "servers")
        assert next(rows)["id"] == "1"


def test_a_token_that_has_run_out_is_renewed_once(wire: Wire) -> None:
    answers = [(401, {"error": {"message": "expired"}}), (200, {"servers": []})]
    wire.table["GET /nova/v2.1/servers"] = lambda _query, _body: answers.pop(0)
    with linked(wire) as link:
        assert link.get("compute", "/servers") == {"servers": []}
    assert wire.tokens == 2


def test_what_makes_something_is_asked_once_however_it_ends(wire: Wire) -> None:
    for answer in (None, (500, {"computeFault": {"message": "oops"}}), (503, b"<html><body>gateway</body></html>")):
        wire.asked.clear()
        wire.table["POST /nova/v2.1/servers"] = answer
        with linked(wire) as link, pytest.raises(NotReady) as refused:
            link.post("compute", "/servers", {"server": {}})
        assert len(wire.said("POST /nova/v2.1/servers")) == 1
        assert unclear(refused.value)
    wire.table["POST /nova/v2.1/servers"] = 400, {"badRequest": {"message": "no such flavor"}}
    with linked(wire) as link, pytest.raises(Invalid) as clear:
        link.post("compute", "/servers", {"server": {}})
    assert not unclear(clear.value)


def test_who_asks_too_fast_is_told_how_long_to_wait(wire: Wire) -> None:
    wire.table["GET /nova/v2.1/servers"] = 429, {"overLimit": {"message": "slow down", "retryAfter": "7"}}
    with linked(wire) as link, pytest.raises(Throttled) as refused:
        link.get("compute", "/servers")
    assert refused.value.details["retry_after"] == 7.0


def test_several_regions_are_not_guessed_from_and_a_wrong_one_is_named() -> None:
    with wired("East", "West") as wire:
        wire.table["GET /nova/v2.1/servers"] = 200, {"servers": []}
        with linked(wire) as link, pytest.raises(Invalid, match="several regions: East, West"):
            link.get("compute", "/servers")
        with linked(wire, region="West") as link:
            assert link.region == "West"
            with pytest.raises(NotFound, match="no region 'Wets'") as refused:
                link.get("compute", "/servers", "Wets")
            assert "West" in refused.value.hint
        with linked(wire, region="West", regions="all") as link:
            assert link.regions == ("West", "East")


def test_one_broken_region_never_hides_the_others_and_is_named() -> None:
    with wired("East", "West") as wire, linked(wire, region="West", regions="all") as link:

        def rows(region: str) -> Iterator[str]:
            yield region
            if region == "East":
                raise NotReady("nova is down")

        seen = []
        with pytest.raises(NotReady, match="East: nova is down") as refused:
            seen.extend(link.each_region(rows))
        assert refused.value.details["complete"] == ["West"]


@pytest.mark.parametrize(("having", "asked"), [({"West"}, ["West"]), (set(), ["West", "East"])])
def test_a_region_without_a_service_that_another_has_is_not_asked_for_it(
    monkeypatch: pytest.MonkeyPatch, having: set[str], asked: list[str]
) -> None:
    with wired("East", "West") as wire, linked(wire, region="West", regions="all") as link:
        monkeypatch.setattr(link, "has", lambda _service, region: region in having)
        assert sorted(link.each_region(lambda region: [region], "volume")) == sorted(asked)
        assert sorted(link.each_region(lambda region: [region])) == ["East", "West"]


def test_a_service_that_is_not_there_is_said(wire: Wire) -> None:
    with linked(wire) as link:
        assert not link.has("object-store")
        with pytest.raises(Unsupported, match="no service object-store in R1"):
            link.get("object-store", "/")


def test_the_setting_endpoint_overrules_the_catalog(wire: Wire) -> None:
    wire.table["GET /other/v2.1/"] = 200, {}
    wire.table["GET /other/v2.1/servers"] = 200, {"servers": [{"id": "1"}]}
    with linked(wire, endpoint={"compute": f"{wire.url}/other/v2.1"}) as link:
        assert link.get("compute", "/servers")["servers"] == [{"id": "1"}]


def test_what_is_not_json_is_said_and_not_retried(wire: Wire) -> None:
    wire.table["GET /nova/v2.1/servers"] = 200, b"<html>please sign in to the hotel</html>"
    with linked(wire) as link, pytest.raises(NotReady, match="not JSON") as refused:
        link.get("compute", "/servers")
    assert refused.value.details["retry"] is False


def test_a_wrong_password_a_wrong_address_and_nobody_there(wire: Wire, capfd: pytest.CaptureFixture[str]) -> None:
    wire.table["POST /v3/auth/tokens"] = (
        401,
        {"error": {"message": "The request you have made requires authentication.", "code": 401}},
    )
    with linked(wire) as link, pytest.raises(Denied, match="keystone: The request you have made requires") as refused:
        link.get("compute", "/servers")
    assert "password" in refused.value.hint
    assert "secret" not in str(refused.value.to_public())
    del wire.table["POST /v3/auth/tokens"]
    with linked(wire) as link, pytest.raises(Invalid, match="there is no keystone at auth_url"):
        link.get("compute", "/servers")
    gone = {"auth_url": "http://127.0.0.1:9", "username": "a", "password": "b", "project_name": "c"}
    with (
        linked(wire, credentials=gone) as link,
        pytest.raises(NotReady, match=r"keystone is not reachable: Connection refused \(127.0.0.1:9\)$"),
    ):
        link.get("compute", "/servers")
    secure = {**gone, "auth_url": wire.url.replace("http:", "https:")}
    with linked(wire, credentials=secure) as link, pytest.raises(Invalid, match="speaks no TLS"):
        link.get("compute", "/servers")
    assert capfd.readouterr() == ("", "")


def test_a_plug_in_that_only_openstacksdk_knows_signs_in(wire: Wire, tmp_path: Path) -> None:
    auth = {
        **wire.login["auth"],
        "auth_url": f"{wire.url}/v3",
        "auth_methods": ["v3password"],
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    entry = {"auth_type": "v3multifactor", "auth": auth, "region_name": "R1"}
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"odd": entry}}))
    with linked(wire, credentials={}, cloud="odd", clouds_yaml=str(tmp_path / "clouds.yaml")) as link:
        assert (link.project, link.region) == ("p1", "R1")
    (sent,) = [body for _query, body in wire.said("POST /v3/auth/tokens")]
    assert sent["auth"]["identity"]["methods"] == ["password"]


@pytest.mark.parametrize(
    ("address", "service", "wanted"),
    [
        ("https://h/compute/v2.1/", "compute", "https://h/compute/v2.1"),
        ("https://h:8774/v2/p1", "compute", "https://h:8774/v2.1/p1"),
        ("https://h/image", "image", "https://h/image/v2"),
        ("https://h:9292/v2/", "image", "https://h:9292/v2"),
        ("https://h:9696", "network", "https://h:9696/v2.0"),
        ("https://h:5000/v2.0", "identity", "https://h:5000/v3"),
        ("https://h/volume/v3/p1", "volume", "https://h/volume/v3/p1"),
    ],
)
def test_a_catalog_may_leave_versions_out(address: str, service: str, wanted: str) -> None:
    assert catalogue.versioned(address, service) == wanted


def test_the_root_where_versions_are_told_has_no_project() -> None:
    assert catalogue.root("https://h/volume/v3/p1") == "https://h/volume/v3/"
    assert catalogue.root("https://h:8774/v2.1") == "https://h:8774/v2.1/"


def test_a_query_is_written_as_the_services_read_it() -> None:
    asked = catalogue.pairs({"a": True, "b": None, "c": ["x", "y"], "d": 1})
    assert asked == [("a", "true"), ("c", "x"), ("c", "y"), ("d", "1")]
