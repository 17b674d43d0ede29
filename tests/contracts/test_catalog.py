"""The contract of the catalog: every rule of `catalog.base`, on every store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from catalog_stores import ONE_PROCESS, STORES

from cloudms.catalog.base import Catalog, Scope
from cloudms.catalog.rows import take_all_apart
from cloudms.errors import Invalid, NotFound

Open = Callable[[], Catalog]


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return what opens the same store once more (the same object where a store ends with it)."""
    catalogs: list[Catalog] = []

    def another() -> Catalog:
        if not catalogs or request.param not in ONE_PROCESS:
            catalogs.append(STORES[request.param](tmp_path))
        return catalogs[-1]

    yield another
    for catalog in catalogs:
        catalog.close()


@pytest.fixture
def catalog(opened: Open) -> Catalog:
    """Return an empty catalog."""
    return opened()


def keys(catalog: Catalog, kind: str = "vm", **narrow: Any) -> list[str]:
    """Return the keys that `find` finds."""
    return [row.key for row in catalog.find(kind, **narrow)]


def version(catalog: Catalog, kind: str, key: str) -> int:
    """Return the version of a document that is there."""
    stored = catalog.get(kind, key)
    assert stored is not None
    return stored.version


def told(catalog: Catalog) -> list[Any]:
    """Return what the events say, in the order of their keys."""
    return [row.document["n"] for row in catalog.find("event")]


# Documents


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "a", "nested": {"list": [1, 2.5, None, True, "x"], "empty": {}}},
        {"name": "Übergröße 🚀 日本", "text": "line\nbreak\ttab \u0000 'quote' \"double\" \\"},
        {"big": 2**80, "small": -1e-300, "zero": 0, "one": 1.0},
        {"fetched": 1700000000.25},
        {"fetched": 1700000000},
        {"fetched": 0},
        {"fetched": None},
        {"labels": {}, "cloud": "", "region": None, "name": None},
    ],
    ids=repr,
)
def test_a_document_comes_back_as_it_was(catalog: Catalog, document: dict[str, Any]) -> None:
    assert catalog.insert("vm", "k", document)
    stored = catalog.get("vm", "k")
    assert stored is not None
    assert stored.document == document
    assert [type(value) for _, value in sorted(stored.document.items())] == [
        type(value) for _, value in sorted(document.items())
    ]
    assert (stored.kind, stored.key, stored.version) == ("vm", "k", 1)


def test_the_reader_may_change_what_it_got(catalog: Catalog) -> None:
    document = {"name": "a", "labels": {"k": "v"}}
    catalog.insert("vm", "k", document)
    document["name"] = "changed by the writer"
    first = catalog.get("vm", "k")
    assert first is not None
    first.document["labels"]["k"] = "changed by the reader"
    second = catalog.get("vm", "k")
    assert second is not None
    assert second.document == {"name": "a", "labels": {"k": "v"}}


def test_what_is_absent_is_none(catalog: Catalog) -> None:
    catalog.insert("vm", "k", {})
    assert catalog.get("vm", "K") is None
    assert catalog.get("image", "k") is None


@pytest.mark.parametrize(
    ("kind", "key", "document"),
    [
        ("", "k", {}),
        ("vm", "", {}),
        ("vm", "k", {"x": float("nan")}),
        ("vm", "k", {"x": object()}),
        ("vm", "k", {"x": b"bytes"}),
        ("vm", "k", {"name": ["no text"]}),
        ("vm", "k", {"fetched": "yesterday"}),
        ("vm", "k", {"labels": ["no mapping"]}),
        ("vm", "\udcff", {}),
        ("vm", "k", {"name": "\udcff"}),
    ],
    ids=repr,
)
def test_what_is_no_document_is_refused(catalog: Catalog, kind: str, key: str, document: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        catalog.insert(kind, key, document)
    assert "\n" not in refused.value.message
    with pytest.raises(Invalid):
        catalog.put(kind, {"good": {}, key: document})
    assert catalog.count("vm") == 0


def test_insert_takes_a_key_once(catalog: Catalog) -> None:
    assert catalog.insert("name", "web", {"by": "first"}, event={"n": 1})
    assert not catalog.insert("name", "web", {"by": "second"}, event={"n": 2})
    assert catalog.insert("image", "web", {"by": "another kind"})
    stored = catalog.get("name", "web")
    assert stored is not None
    assert stored.document == {"by": "first"}
    assert told(catalog) == [1]


def test_insert_many_takes_the_keys_that_are_free(catalog: Catalog) -> None:
    catalog.insert("name", "b", {"by": "first"})
    assert catalog.insert_many("name", {key: {"by": "second"} for key in "cba"}) == ["c", "a"]
    assert catalog.insert_many("name", {"c": {"by": "third"}}) == catalog.insert_many("name", {}) == []
    assert [row.document["by"] for row in catalog.find("name")] == ["second", "first", "second"]
    with pytest.raises(Invalid):
        catalog.insert_many("name", {"d": {}, "e": {"x": object()}})
    assert keys(catalog, "name") == ["a", "b", "c"]


def test_put_writes_only_what_changed(catalog: Catalog) -> None:
    assert catalog.put("vm", {"a": {"x": 1, "y": 2}, "b": {"x": 1}}) == 2
    assert catalog.put("vm", {"a": {"y": 2, "x": 1}, "b": {"x": 2}, "c": {}}) == 2
    assert [version(catalog, "vm", key) for key in "abc"] == [1, 2, 1]
    assert catalog.put("vm", {"b": {"x": 3}}) == 1
    assert version(catalog, "vm", "b") == 3
    assert catalog.put("vm", {}) == 0


def test_a_row_that_was_only_fetched_again_is_younger_but_not_changed(catalog: Catalog) -> None:
    catalog.put("image", {"a": {"name": "a", "fetched": 100.0}})
    assert catalog.put("image", {"a": {"name": "a", "fetched": 200.0}}) == 0
    stored = catalog.get("image", "a")
    assert stored is not None
    assert (stored.document, stored.version) == ({"name": "a", "fetched": 200.0}, 1)
    assert catalog.find("image")[0].document["fetched"] == 200.0


def test_a_change_is_searched_as_it_is_now(catalog: Catalog) -> None:
    catalog.put("vm", {"k": {"name": "old", "cloud": "here", "region": "r1", "labels": {"a": "1"}}})
    catalog.put("vm", {"k": {"name": "new", "cloud": "there", "labels": {"b": "2"}}})
    for narrow in ({"name": "old"}, {"cloud": "here"}, {"labels": {"a": "1"}}, {"text": "old"}, {"text": "r1"}):
        assert keys(catalog, **narrow) == []
    for narrow in ({"name": "new"}, {"cloud": "there"}, {"labels": {"b": "2"}}, {"text": "new"}):
        assert keys(catalog, **narrow) == ["k"]
    assert (catalog.count("vm", cloud="here"), catalog.count("vm", cloud="there")) == (0, 1)


def test_events_are_written_with_their_change_and_in_order(catalog: Catalog) -> None:
    catalog.put("vm", {"a": {"x": 1}}, events=[{"n": 1}, {"n": 2}])
    catalog.put("vm", {"a": {"x": 1}}, events=[{"n": 3}])
    catalog.put("vm", {}, events=[{"n": 4, "cloud": "here", "name": "a"}])
    catalog.delete("vm", ["a", "never there"], events=[{"n": 5}])
    catalog.delete("vm", [], events=[{"n": 6}])
    assert told(catalog) == [1, 2, 3, 4, 5, 6]
    assert [row.document["n"] for row in catalog.find("event", newest=True, limit=2)] == [6, 5]
    assert keys(catalog, "event", cloud="here") == keys(catalog, "event")[3:4]
    assert catalog.count("event") == 6


def test_event_keys_grow_even_after_events_are_deleted(catalog: Catalog) -> None:
    for number in range(12):
        catalog.put("vm", {f"vm{number}": {}}, events=[{"n": number}])
    before = keys(catalog, "event")
    catalog.delete("event", before)
    catalog.delete("vm", keys(catalog))
    catalog.put("vm", {}, events=[{"n": 99}])
    assert keys(catalog, "event")[0] > before[-1]
    assert before == sorted(before)


def test_an_event_that_is_no_document_stops_its_change(catalog: Catalog) -> None:
    with pytest.raises(Invalid):
        catalog.put("vm", {"a": {}}, events=[{"x": object()}])
    with pytest.raises(Invalid):
        catalog.insert("vm", "a", {}, event={"x": object()})
    assert catalog.get("vm", "a") is None


def test_replace_wants_the_version_that_was_seen(catalog: Catalog) -> None:
    assert not catalog.replace("vm", "k", {"x": 0}, version=0, event={"n": 0})
    catalog.insert("vm", "k", {"x": 1})
    assert catalog.replace("vm", "k", {"x": 2}, version=1, event={"n": 1})
    assert not catalog.replace("vm", "k", {"x": 3}, version=1, event={"n": 2})
    stored = catalog.get("vm", "k")
    assert stored is not None
    assert (stored.document, stored.version) == ({"x": 2}, 2)
    assert told(catalog) == [1]


def test_of_two_that_replace_the_same_version_one_wins_even_with_the_same_document(catalog: Catalog) -> None:
    catalog.insert("vm", "k", {"x": 1})
    assert [catalog.replace("vm", "k", {"x": 1}, version=1) for _ in range(2)] == [True, False]


def test_delete_counts_what_was_there(catalog: Catalog) -> None:
    catalog.put("vm", {key: {"name": key} for key in "abc"})
    catalog.put("image", {"a": {}})
    assert catalog.delete("vm", iter(["a", "b", "x"])) == 2
    assert catalog.delete("vm", ["a"]) == 0
    assert (keys(catalog), keys(catalog, "image")) == (["c"], ["a"])
    assert catalog.insert("vm", "a", {})
    assert version(catalog, "vm", "a") == 1


# Finding


def test_find_is_in_the_order_of_keys(catalog: Catalog) -> None:
    order = ["A", "a", "a/1", "a/10", "a/2", "aa", "z", "é", "日", "🚀"]
    catalog.put("vm", {key: {} for key in reversed(order)})
    assert keys(catalog) == order
    assert keys(catalog, limit=3) == order[:3]
    assert keys(catalog, after="a/1", limit=3) == ["a/10", "a/2", "aa"]
    assert keys(catalog, after="aaa") == ["z", "é", "日", "🚀"]
    assert keys(catalog, after="🚀") == []


def test_find_narrows_by_cloud_and_name(catalog: Catalog) -> None:
    catalog.put("vm", {f"{cloud}/{name}": {"cloud": cloud, "name": name} for cloud in "cba" for name in "zyx"})
    assert keys(catalog, cloud="b") == ["b/x", "b/y", "b/z"]
    assert keys(catalog, name="y") == ["a/y", "b/y", "c/y"]
    assert keys(catalog, name="y", cloud="c") == ["c/y"]
    assert keys(catalog, cloud="b", after="b/x", limit=1) == ["b/y"]
    assert keys(catalog, name="Y") == keys(catalog, cloud="d") == []
    assert (catalog.count("vm"), catalog.count("vm", cloud="a"), catalog.count("image")) == (9, 3, 0)


def test_clouds_are_those_of_the_kind(catalog: Catalog) -> None:
    clouds = ["b", "", "é", "a", "b", "A"]
    catalog.put("vm", {str(number): {"cloud": cloud} for number, cloud in enumerate(clouds)})
    catalog.put("image", {"x": {"cloud": "z"}})
    assert catalog.clouds("vm") == ["A", "a", "b", "é"]
    assert catalog.clouds("flavor") == []
    catalog.delete("vm", ["3"])
    assert catalog.clouds("vm") == ["A", "b", "é"]


def test_find_wants_every_label(catalog: Catalog) -> None:
    labels = [
        {"env": "test", "team": "a"},
        {"env": "test"},
        {"env": "testing"},
        {"xenv": "test"},
        {"env": 'a"b\\', "n\nl": "line\nbreak", "empty": ""},
        {'x","env': "test"},
        {},
    ]
    catalog.put("vm", {str(number): {"labels": value} for number, value in enumerate(labels)})
    assert keys(catalog, labels={"env": "test"}) == ["0", "1"]
    assert keys(catalog, labels={"team": "a", "env": "test"}) == ["0"]
    assert keys(catalog, labels={"env": "test", "team": "b"}) == []
    for number in (4, 5):
        for name, value in labels[number].items():
            assert keys(catalog, labels={name: value}) == [str(number)]
        assert keys(catalog, labels=labels[number]) == [str(number)]
    assert keys(catalog, labels={"env": ""}) == []
    assert len(keys(catalog, labels={})) == len(labels)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ubuntu", ["a", "b"]),
        ("UBUNTU jammy", ["a"]),
        ("  jammy\tubuntu ", ["a"]),
        ("untu 22", ["a"]),
        ("ami-0B", ["b"]),
        ("100%", ["c"]),
        ("%", ["c"]),
        ("0_1", ["c"]),
        ("_", ["c"]),
        ("*", []),
        ("?", []),
        ("[a-z]", ["d"]),
        ("]", ["d"]),
        ("after-zero", ["c"]),
        ("'", ["c"]),
        ('"', ["c"]),
        ("STRASSE", ["d"]),
        ("straße", ["d"]),
        ("ÉCOLE", ["d"]),
        ("192.0.2.7", ["d"]),
        ("hidden", []),
        ("ubuntu hidden", []),
        ("server-20", ["b"]),
        ("", ["a", "b", "c", "d"]),
    ],
)
def test_every_word_occurs_whatever_its_case(catalog: Catalog, text: str, found: list[str]) -> None:
    documents: dict[str, dict[str, Any]] = {
        "a": {"name": "Ubuntu-22.04-Jammy", "id": "ami-0a", "raw": {"secret": "hidden"}},
        "b": {"name": "ubuntu server", "id": "ami-0b", "description": "server-2023"},
        "c": {"name": "100% 0_1 'quoted\"\0after-zero"},
        "d": {"name": "Große Straße", "os": "École [a-z]", "public_ips": ["198.51.100.1", "192.0.2.7"]},
    }
    catalog.put("image", documents)
    assert keys(catalog, "image", text=text) == found


def test_a_search_has_an_end(catalog: Catalog) -> None:
    catalog.put("vm", {"a": {"name": "x" * 2000}})
    assert keys(catalog, text="x" * 1000) == ["a"]
    with pytest.raises(Invalid):
        catalog.find("vm", text="x" * 1001)


def test_words_are_found_among_many(catalog: Catalog) -> None:
    rows = {f"{number:04d}": {"name": f"n{number}", "cloud": ("a", "b")[number % 2]} for number in range(2500)}
    catalog.put("image", {key: rows[key] for key in sorted(rows, key=lambda key: key[::-1])})
    catalog.put("vm", {"2499": {"name": "n2499"}})
    assert keys(catalog, "image", text="n249") == ["0249", *(f"{number}" for number in range(2490, 2500))]
    assert keys(catalog, "image", text="n249", limit=2) == ["0249", "2490"]
    assert keys(catalog, "image", text="n249", limit=2, after="0249") == ["2490", "2491"]
    assert keys(catalog, "image", text="n249", cloud="b", limit=9, after="2490") == [
        "2491",
        "2493",
        "2495",
        "2497",
        "2499",
    ]
    assert keys(catalog, "image", text="N1", limit=3) == ["0001", "0010", "0011"]
    assert keys(catalog, "image", text="n24", name="n2499") == ["2499"]
    assert keys(catalog, "image", text="n2499", newest=True) == ["2499"]
    assert keys(catalog, "image", text="nowhere", limit=5) == []


def test_conditions_are_joined(catalog: Catalog) -> None:
    for number in range(40):
        cloud, env = ("aws", "local")[number % 2], ("test", "prod")[number % 4 // 2]
        catalog.put("vm", {f"{number:02d}": {"name": f"web{number}", "cloud": cloud, "labels": {"env": env}}})
    narrow: dict[str, Any] = {"cloud": "aws", "labels": {"env": "prod"}, "text": "WEB1"}
    assert keys(catalog, **narrow) == ["10", "14", "18"]
    assert keys(catalog, **narrow, after="10", limit=1) == ["14"]
    assert keys(catalog, **narrow, newest=True) == ["18", "14", "10"]
    assert keys(catalog, **narrow, newest=True, after="18", limit=1) == ["14"]
    assert keys(catalog, **narrow, name="web14") == ["14"]


def test_newest_goes_by_insertion_and_not_by_change(catalog: Catalog) -> None:
    for key in "cab":
        catalog.insert("vm", key, {"x": 1})
    catalog.put("vm", {"c": {"x": 2}})
    catalog.put("image", {"z": {}})
    assert keys(catalog, newest=True) == ["b", "a", "c"]
    assert keys(catalog, newest=True, after="b", limit=1) == ["a"]
    assert keys(catalog, newest=True, after="c") == []
    catalog.delete("vm", ["a"])
    catalog.insert("vm", "a", {})
    assert keys(catalog, newest=True) == ["a", "b", "c"]


def test_newest_cannot_go_on_after_what_is_gone(catalog: Catalog) -> None:
    catalog.insert("vm", "a", {})
    with pytest.raises(NotFound) as refused:
        catalog.find("vm", newest=True, after="b")
    assert refused.value.hint


def test_walk_yields_everything_once(catalog: Catalog) -> None:
    catalog.put("vm", {f"{number:03d}": {"cloud": str(number % 2)} for number in range(25)})
    assert [row.key for row in catalog.walk("vm", page=4)] == keys(catalog)
    assert [row.key for row in catalog.walk("vm", cloud="1", page=5)] == keys(catalog, cloud="1")
    assert list(catalog.walk("image")) == []


# Counters and leases


def test_a_counter_starts_at_zero_and_is_never_below_least(catalog: Catalog) -> None:
    assert catalog.counter("vm") == 0
    assert catalog.counters() == {}
    assert catalog.counter("vm", add=1) == 1
    assert catalog.counter("vm", add=2) == 3
    assert catalog.counter("vm", least=10) == 10
    assert catalog.counter("vm") == 10
    assert catalog.counter("vm", add=1, least=5) == 11
    assert catalog.counter("vm", add=1, least=20) == 20
    assert catalog.counter("vm", add=-100) == 0
    assert catalog.counter("disk", least=7) == 7
    assert catalog.counters() == {"disk": 7, "vm": 0}


def test_a_lease_has_one_owner_at_a_time(catalog: Catalog) -> None:
    lease = catalog.acquire("scale", "me", now=100.0, seconds=10.0)
    assert lease is not None
    assert (lease.name, lease.owner, lease.expires) == ("scale", "me", 110.0)
    assert catalog.acquire("scale", "you", now=109.9, seconds=10.0) is None
    other = catalog.acquire("another", "you", now=109.9, seconds=10.0)
    assert other is not None
    assert other.token != lease.token


def test_a_lease_is_renewed_by_its_owner(catalog: Catalog) -> None:
    first = catalog.acquire("scale", "me", now=100.0, seconds=10.0)
    again = catalog.acquire("scale", "me", now=105.0, seconds=10.0)
    assert first is not None
    assert again is not None
    assert (again.token, again.expires) == (first.token, 115.0)
    assert catalog.acquire("scale", "you", now=112.0, seconds=10.0) is None


def test_an_expired_lease_is_taken_over_and_its_token_is_worth_nothing(catalog: Catalog) -> None:
    lost = catalog.acquire("scale", "me", now=100.0, seconds=10.0)
    taken = catalog.acquire("scale", "you", now=110.0, seconds=10.0)
    assert lost is not None
    assert taken is not None
    assert taken.token != lost.token
    catalog.release(lost)
    assert catalog.acquire("scale", "me", now=111.0, seconds=10.0) is None
    catalog.release(taken)
    catalog.release(taken)
    assert catalog.acquire("scale", "me", now=111.0, seconds=10.0) is not None


# Refreshes

IMAGES = Scope(kind="image", cloud="aws")


def aws(*names: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Return image documents of the cloud aws by key."""
    return {f"aws/{name}": {"name": name, "cloud": "aws", **more} for name in names}


def refresh(catalog: Catalog, scope: Scope, documents: dict[str, dict[str, Any]], **options: Any) -> list[str]:
    """Refresh a scope completely and return the keys that were not seen."""
    generation = catalog.begin(scope, now=1.0)
    catalog.absorb(generation, documents)
    return [row.key for row in catalog.seal(generation, now=2.0, **options)]


def test_a_complete_refresh_forgets_what_it_did_not_see(catalog: Catalog) -> None:
    assert refresh(catalog, IMAGES, aws("a", "b", "c")) == []
    generation = catalog.begin(IMAGES, now=10.0)
    assert catalog.absorb(generation, aws("a")) == 0
    assert catalog.absorb(generation, aws("b", os="linux")) == 1
    assert catalog.absorb(generation, {}) == 0
    gone = catalog.seal(generation, now=20.0)
    assert [(row.key, row.document["name"]) for row in gone] == [("aws/c", "c")]
    assert keys(catalog, "image") == ["aws/a", "aws/b"]
    assert (version(catalog, "image", "aws/a"), version(catalog, "image", "aws/b")) == (1, 2)


def test_without_prune_the_unseen_are_returned_and_kept(catalog: Catalog) -> None:
    refresh(catalog, IMAGES, aws("a", "b"))
    assert refresh(catalog, IMAGES, aws("a"), prune=False) == ["aws/b"]
    assert refresh(catalog, IMAGES, aws("a"), prune=False) == ["aws/b"]
    assert keys(catalog, "image") == ["aws/a", "aws/b"]


def test_an_incomplete_refresh_forgets_nothing(catalog: Catalog) -> None:
    refresh(catalog, IMAGES, aws("a", "b", "c"))
    broken = catalog.begin(IMAGES, now=10.0)
    catalog.absorb(broken, aws("a", "d"))
    assert keys(catalog, "image") == ["aws/a", "aws/b", "aws/c", "aws/d"]
    assert refresh(catalog, IMAGES, aws("a")) == ["aws/b", "aws/c", "aws/d"]


def test_a_refresh_sees_fetched_times_grow(catalog: Catalog) -> None:
    refresh(catalog, IMAGES, aws("a", "b", fetched=100.0))
    generation = catalog.begin(IMAGES, now=200.0)
    assert catalog.absorb(generation, aws("a", fetched=200.0)) == 0
    assert [row.document["fetched"] for row in catalog.find("image")] == [200.0, 100.0]


def test_a_refresh_stays_inside_its_cloud_and_kind(catalog: Catalog) -> None:
    refresh(catalog, IMAGES, aws("a"))
    refresh(catalog, Scope(kind="flavor", cloud="aws"), aws("a"))
    refresh(catalog, Scope(kind="image", cloud="azure"), {"azure/a": {"cloud": "azure"}})
    assert refresh(catalog, IMAGES, {}) == ["aws/a"]
    assert (keys(catalog, "flavor"), keys(catalog, "image")) == (["aws/a"], ["azure/a"])


def test_a_refresh_stays_inside_its_region(catalog: Catalog) -> None:
    east, west = (Scope(kind="image", cloud="aws", region=region) for region in ("east", "west"))
    refresh(catalog, east, aws("e1", "e2", region="east"))
    refresh(catalog, west, aws("w1", region="west"))
    catalog.put("image", aws("nowhere"))
    assert refresh(catalog, east, aws("e1", region="east")) == ["aws/e2"]
    assert keys(catalog, "image") == ["aws/e1", "aws/nowhere", "aws/w1"]
    assert refresh(catalog, IMAGES, aws("w1", region="west")) == ["aws/e1", "aws/nowhere"]


def test_a_refresh_with_a_query_forgets_only_what_the_query_found_before(catalog: Catalog) -> None:
    ubuntu, debian = (Scope(kind="image", cloud="aws", query=query) for query in ("ubuntu", "debian"))
    refresh(catalog, ubuntu, aws("u1", "u2"))
    refresh(catalog, debian, aws("d1"))
    catalog.put("image", aws("own"))
    assert refresh(catalog, ubuntu, aws("u2"), prune=False) == ["aws/u1"]
    assert refresh(catalog, ubuntu, aws("u2")) == ["aws/u1"]
    assert refresh(catalog, debian, {}) == ["aws/d1"]
    assert keys(catalog, "image") == ["aws/own", "aws/u2"]
    assert refresh(catalog, IMAGES, aws("own")) == ["aws/u2"]


def test_what_another_listing_has_seen_is_not_for_a_query_to_forget(catalog: Catalog) -> None:
    first, second = (Scope(kind="image", cloud="aws", query=query) for query in ("first", "second"))
    refresh(catalog, first, aws("both"))
    refresh(catalog, second, aws("both"))
    refresh(catalog, IMAGES, aws("both", "all"))
    refresh(catalog, first, aws("both", "all"))
    assert refresh(catalog, first, {}) == []
    assert refresh(catalog, second, {}) == []
    assert keys(catalog, "image") == ["aws/all", "aws/both"]
    assert refresh(catalog, IMAGES, {}) == ["aws/all", "aws/both"]
    refresh(catalog, first, aws("both"))
    refresh(catalog, second, aws("both"))
    assert refresh(catalog, first, {}) == []
    assert refresh(catalog, second, {}) == ["aws/both"]


def test_a_query_that_a_row_never_leaves_forgets_what_others_have_seen(catalog: Catalog) -> None:
    first, second = (Scope(kind="image", cloud="aws", query=query) for query in ("first", "second"))
    refresh(catalog, IMAGES, aws("a", "b", "c"))
    refresh(catalog, first, aws("a", "b"))
    refresh(catalog, second, aws("b", "c"))
    assert refresh(catalog, first, aws("a"), prune=False) == []
    assert refresh(catalog, first, aws("a"), alone=False, prune=False) == ["aws/b"]
    assert refresh(catalog, first, aws("a"), alone=False) == ["aws/b"]
    assert keys(catalog, "image") == ["aws/a", "aws/c"]
    assert refresh(catalog, second, aws("c"), alone=False) == []


def test_long_lists_are_written_as_short_ones(catalog: Catalog) -> None:
    many = aws(*(f"{number * 7919 % 10007:05d}" for number in range(1300)), fetched=1.0)
    assert refresh(catalog, IMAGES, many) == []
    generation = catalog.begin(IMAGES, now=3.0)
    few = dict(list(many.items())[:-3])
    few[next(iter(few))] = {**next(iter(few.values())), "os": "linux"}
    assert catalog.absorb(generation, few) == 1
    assert sorted(row.key for row in catalog.seal(generation, now=4.0)) == sorted(list(many)[-3:])
    assert keys(catalog, "image") == sorted(few)


def test_rows_may_be_taken_apart_before_they_are_absorbed(catalog: Catalog) -> None:
    generation = catalog.begin(IMAGES, now=3.0)
    assert catalog.absorb(generation, take_all_apart("image", aws("a", "b", fetched=1.0))) == 2
    assert catalog.absorb(generation, aws("a", "b", fetched=1.0)) == 0
    assert catalog.find("image")[0].document == aws("a", fetched=1.0)["aws/a"]


def test_a_row_that_came_back_belongs_to_no_old_query(catalog: Catalog) -> None:
    query = Scope(kind="image", cloud="aws", query="q")
    refresh(catalog, query, aws("a"))
    catalog.delete("image", ["aws/a"])
    catalog.put("image", aws("a"))
    assert refresh(catalog, query, {}) == []
    assert keys(catalog, "image") == ["aws/a"]


@pytest.mark.parametrize("query", ["", "q"])
def test_what_is_written_after_the_beginning_is_never_unseen(catalog: Catalog, query: str) -> None:
    scope = Scope(kind="image", cloud="aws", query=query)
    refresh(catalog, scope, aws("put", "same", "replaced", "deleted", "absorbed", "old"))
    other = catalog.begin(Scope(kind="image", cloud="aws", query="another listing"), now=3.0)
    listing = catalog.begin(scope, now=4.0)
    catalog.insert("image", "aws/inserted", aws("inserted")["aws/inserted"])
    catalog.put("image", aws("put", os="changed"))
    catalog.put("image", aws("same"))
    catalog.replace("image", "aws/replaced", aws("replaced")["aws/replaced"], version=1)
    catalog.delete("image", ["aws/deleted"])
    catalog.absorb(other, aws("absorbed", "new"))
    assert [row.key for row in catalog.seal(listing, now=5.0)] == ["aws/old"]
    names = ["absorbed", "inserted", "new", "put", "replaced", "same"]
    assert keys(catalog, "image") == [f"aws/{name}" for name in names if name != "deleted"]


def test_an_intent_from_before_the_beginning_is_unseen(catalog: Catalog) -> None:
    catalog.insert("image", "token-1", {"name": "intent", "cloud": "aws"})
    assert refresh(catalog, IMAGES, aws("a"), prune=False) == ["token-1"]
    assert keys(catalog, "image") == ["aws/a", "token-1"]


def test_a_generation_that_was_overtaken_forgets_nothing(catalog: Catalog) -> None:
    refresh(catalog, IMAGES, aws("a", "b"))
    older = catalog.begin(IMAGES, now=10.0)
    younger = catalog.begin(IMAGES, now=11.0)
    assert younger.number > older.number
    catalog.absorb(older, aws("a"))
    catalog.absorb(younger, aws("b"))
    assert catalog.seal(older, now=12.0) == []
    assert keys(catalog, "image") == ["aws/a", "aws/b"]
    assert catalog.seal(younger, now=13.0) == []  # the older one has just seen it
    assert refresh(catalog, IMAGES, aws("b")) == ["aws/a"]


def test_a_generation_that_was_overtaken_by_a_sealed_one_forgets_nothing(catalog: Catalog) -> None:
    older = catalog.begin(IMAGES, now=10.0)
    younger = catalog.begin(IMAGES, now=11.0)
    catalog.absorb(younger, aws("a"))
    catalog.seal(younger, now=12.0)
    catalog.absorb(older, aws("b"))
    assert catalog.seal(older, now=13.0) == []
    assert catalog.generation(IMAGES) == younger.with_(sealed=12.0)


def test_the_generation_tells_how_complete_and_how_old(catalog: Catalog) -> None:
    assert catalog.generation(IMAGES) is None
    first = catalog.begin(IMAGES, now=10.0)
    assert (first.scope, first.started, first.sealed) == (IMAGES, 10.0, None)
    assert catalog.generation(IMAGES) == first
    catalog.seal(first, now=20.0)
    assert catalog.generation(IMAGES) == first.with_(sealed=20.0)
    second = catalog.begin(IMAGES, now=30.0)
    assert second.number > first.number
    assert catalog.generation(IMAGES) == first.with_(sealed=20.0)
    catalog.seal(second, now=40.0, prune=False)
    assert catalog.generation(IMAGES) == second.with_(sealed=40.0)
    for other in (IMAGES.with_(region="r"), IMAGES.with_(query="q"), IMAGES.with_(kind="vm"), IMAGES.with_(cloud="x")):
        assert catalog.generation(other) is None


# The store as a whole


def test_another_connection_sees_every_call_at_once(opened: Open) -> None:
    one, two = opened(), opened()
    one.put("vm", {"a": {"x": 1}}, events=[{"n": 1}])
    assert keys(two) == ["a"]
    assert two.replace("vm", "a", {"x": 2}, version=1)
    assert version(one, "vm", "a") == 2
    assert two.counter("c", add=1) == 1
    assert one.counter("c", add=1) == 2
    generation = one.begin(IMAGES, now=1.0)
    two.absorb(generation, aws("a"))
    assert [row.key for row in one.seal(generation, now=2.0)] == []
    assert two.generation(IMAGES) == generation.with_(sealed=2.0)


def test_close_may_be_called_twice_and_loses_nothing(opened: Open) -> None:
    one = opened()
    one.put("vm", {"a": {}})
    one.close()
    one.close()
    assert keys(opened()) == ["a"]


# A listing is older than what was written directly since it began


VMS = Scope(kind="vm", cloud="c")


@pytest.mark.parametrize("how", ["put", "put the same", "insert", "replace"])
def test_a_direct_write_is_newer_than_a_listing_that_had_begun(catalog: Catalog, how: str) -> None:
    before, ours, listed = ({"cloud": "c", "name": "a", "state": state} for state in ("before", "ours", "listed"))
    if how != "insert":
        catalog.put("vm", {"a": before})
    generation = catalog.begin(VMS, now=1.0)
    if how == "put":
        catalog.put("vm", {"a": ours})
    elif how == "put the same":
        ours = before
        catalog.put("vm", {"a": ours})
    elif how == "insert":
        assert catalog.insert("vm", "a", ours)
    else:
        assert catalog.replace("vm", "a", ours, version=version(catalog, "vm", "a"))
    assert catalog.absorb(generation, {"a": listed}) == 0
    assert catalog.seal(generation, now=2.0) == []
    stored = catalog.get("vm", "a")
    assert stored is not None
    assert stored.document == ours


def test_the_next_listing_is_newer_again(catalog: Catalog) -> None:
    catalog.begin(VMS, now=1.0)
    catalog.put("vm", {"a": {"cloud": "c", "name": "a", "state": "ours"}})
    generation = catalog.begin(VMS, now=2.0)
    assert catalog.absorb(generation, {"a": {"cloud": "c", "name": "a", "state": "listed"}}) == 1
    assert catalog.absorb(generation, {"a": {"cloud": "c", "name": "a", "state": "listed again"}}) == 1
