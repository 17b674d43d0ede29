"""What is kept of a VM in its metadata: there and back, told apart in a batch, and within nova's limits."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cloudms.clouds import notes
from cloudms.clouds.openstack import tags
from cloudms.clouds.openstack.tags import Tags
from cloudms.errors import Invalid

KEY = re.compile(r"[a-zA-Z0-9\-_:. ]{1,255}")
"""Keys that nova takes (https://docs.openstack.org/api-ref/compute/#create-server, metadata)."""
FULL = Tags(
    token="t1", owner="ada@lab", name="web", expires=2_000_000_000.0, protected=True, group="g", image="debian-12",
    login="debian", key="mine", adopted=True, keep_stopped=True, timer=True, resized_from="m1.small", opened=True,
    spread="s1", labels={"role": "web", "größe": "a = <b>", "a/b": "", "cms:x": "y", "with space": "1"},
)  # fmt: skip


def row(name: str, pairs: dict[str, str], hostname: str = "") -> dict[str, Any]:
    """Return a server with this metadata."""
    return {"name": name, "metadata": pairs, "OS-EXT-SRV-ATTR:hostname": hostname}


def test_everything_comes_back_as_it_was_put() -> None:
    pairs = FULL.pairs()
    assert tags.of(row("web", pairs)) == FULL
    assert all(KEY.fullmatch(key) for key in pairs)
    assert pairs["role"] == "web"


def test_foreign_metadata_are_labels() -> None:
    found = tags.of(row("theirs", {"tier": "1"}))
    assert (found.token, found.owner, found.labels) == ("", "", {"tier": "1"})


@pytest.mark.parametrize("metadata", [None, {}, {"cms:expires": "soon", "cms:batch": "x"}, []])
def test_what_cannot_be_read_is_as_if_it_were_not_there(metadata: Any) -> None:
    assert tags.of({"name": "a", "metadata": metadata}).expires is None


@pytest.mark.parametrize("labels", [{"k": "v" * 256}, {"k" * 256: "v"}, {f"k{n}": "v" for n in range(130)}])
def test_more_than_nova_takes_is_refused(labels: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Tags(token="t", labels=labels).pairs()


def batch(names: list[str]) -> list[dict[str, Any]]:
    """Return the servers of a batch as nova calls them at first."""
    base = tags.base_name(names, "abc")
    pairs = {notes.TOKEN: "abc", notes.OWNER: "ada", **tags.batch_pairs(names)}
    return [row(f"{base}-{n}", pairs, f"{base}-{n}") for n in range(1, len(names) + 1)]


@pytest.mark.parametrize(
    "names",
    [
        ["web-1", "web-2", "web-3"], ["web-4", "web-5"], ["test00_vm09", "test00_vm10"], ["b", "a"],
        [f"a-very-long-name-of-a-machine-{n}-{n * n}" for n in range(1, 40)],
    ],
    ids=["as nova", "later", "padded", "two", "many"],
)  # fmt: skip
def test_the_vms_of_a_request_are_told_apart_before_and_after_they_are_renamed(names: list[str]) -> None:
    rows = batch(names)
    expected = [(name, f"abc.{n}") for n, name in enumerate(names, 1)]
    assert [(found.name, found.token) for found in map(tags.of, rows)] == expected
    older = [{**each, "OS-EXT-SRV-ATTR:hostname": None} for each in rows]
    assert [(found.name, found.token) for found in map(tags.of, older)] == expected
    renamed = [{**each, "name": name} for each, name in zip(rows, names, strict=True)]
    assert [(found.name, found.token) for found in map(tags.of, renamed)] == expected
    assert not any(tags.made_up(each) for each in renamed)
    assert all(len(value) <= tags.LONGEST for each in rows for value in each["metadata"].values())


def test_names_that_nova_makes_itself_need_no_renaming() -> None:
    assert tags.base_name(["web-1", "web-2"], "t.1") == "web"
    assert not any(tags.made_up(each) for each in batch(["web-1", "web-2"]))
    assert all(tags.made_up(each) for each in batch(["web-2", "web-3"]))
    assert tags.base_name(["Web-1", "Web-2"], "t.1").startswith("web-1-"), "nova makes small letters of a host name"


def test_a_vm_of_a_batch_that_somebody_renamed_keeps_its_token() -> None:
    rows = batch(["web-4", "web-5"])
    found = tags.of({**rows[1], "name": "my precious"})
    assert (found.name, found.token) == ("my precious", "abc.2")


def test_a_stranger_in_a_batch_is_nobodys() -> None:
    found = tags.of(row("copy", batch(["web-4", "web-5"])[0]["metadata"], "copy"))
    assert (found.token, found.name) == ("", "copy")


@pytest.mark.parametrize("token", ["abc", "abc.3", "x" * 80, "a,b/c"])
def test_a_tag_of_a_server_is_one_that_nova_takes(token: str) -> None:
    tag = tags.tag(token)
    assert len(tag) <= 60
    assert not set(tag) & set(",/")
    assert tags.tag(notes.base_token(token)[0]) == tag


def test_a_guest_with_a_timer_is_told_that_there_is_no_end() -> None:
    assert notes.end_text(None, timer=True) == "never"
    assert notes.end_text(None, timer=False) == ""
    assert notes.end_text(12.7, timer=True) == "12"
