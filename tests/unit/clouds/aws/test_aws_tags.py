"""Tags: what is kept on AWS comes back, in keys that a guest's metadata service allows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.tags import Tags
from cloudms.errors import Invalid

SAFE = re.compile(r"[A-Za-z0-9+\-=.,_:@]{1,128}")
FULL = Tags(
    token="abc", owner="ada", name="web", expires=1_800_000_000.0, protected=True, group="lab", image="debian-12",
    login="admin", key="mine", adopted=True, keep_stopped=True, timer=True,
    intent="rebuild t-1", saved=1_750_000_000.0, labels={"tier": "front", "app.io/name": "shop"},
)  # fmt: skip


def row(pairs: dict[str, str], index: int | None = 0) -> dict[str, object]:
    return {"InstanceId": "i-1", "AmiLaunchIndex": index, "Tags": tags.listed(pairs)}


def test_what_is_written_is_read_again() -> None:
    pairs = FULL.pairs()
    assert tags.of(row(pairs)) == FULL
    assert pairs["Name"] == "web"
    assert pairs["cms:expires"] == "1800000000"
    assert pairs["tier"] == "front"
    assert all(SAFE.fullmatch(key) for key in pairs)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=40), max_size=8))
def test_any_label_comes_back_and_its_key_is_safe(labels: dict[str, str]) -> None:
    pairs = tags.label_pairs(labels)
    assert all(SAFE.fullmatch(key) for key in pairs)
    assert not {"Name", "_index", ".", ".."} & set(pairs)
    assert tags.labels(pairs) == labels


@pytest.mark.parametrize("key", ["aws:x", "cms:token", "Name", "_index", ".", "a b", "a/b", "é"])
def test_a_label_never_takes_a_key_that_means_something_else(key: str) -> None:
    (written,) = tags.label_pairs({key: "v"})
    assert written.startswith("cms:label:")


def test_tags_of_others_are_labels_but_for_those_of_amazon() -> None:
    found = tags.of(row({"Name": "db", "team": "x", "aws:autoscaling:groupName": "g", "k8s.io/role": "node"}))
    assert (found.name, found.token, found.labels) == ("db", "", {"team": "x", "k8s.io/role": "node"})


def test_what_cannot_be_read_is_as_if_it_were_not_there() -> None:
    found = tags.of({"Tags": [{"Key": "cms:expires", "Value": "soon"}, {"Key": "cms:batch", "Value": "x"}, {}]})
    assert (found.expires, found.batch) == (None, 0)
    assert tags.of({}) == Tags()


def test_a_guest_with_a_timer_is_told_that_there_is_no_end() -> None:
    assert Tags(token="a", timer=True).pairs()["cms:expires"] == "never"
    assert "cms:expires" not in Tags(token="a").pairs()
    assert tags.of(row({"cms:expires": "never"})).expires is None


NAMES = [f"web-{number}" for number in range(1, 101)]
LONG = [f"{chr(97 + number % 26) * 20}-{number * 7}" for number in range(60)]


@pytest.mark.parametrize("names", [["a", "b"], NAMES, LONG, ["b2", "a1", "b1"], ["x09", "x10", "x11"]])
def test_each_vm_of_a_batch_is_told_by_its_launch_index(names: list[str]) -> None:
    pairs = {"cms:token": "abc", **tags.batch_pairs(names)}
    assert all(len(value) <= 256 for value in pairs.values())
    found = [tags.of(row(pairs, index)) for index in range(len(names))]
    assert [each.name for each in found] == names
    assert [each.token for each in found] == [f"abc.{number}" for number in range(1, len(names) + 1)]


def test_a_name_of_its_own_wins_and_a_lost_list_of_names_is_no_harm() -> None:
    pairs = {"cms:token": "abc", **tags.batch_pairs(["a1", "a2"])}
    assert tags.of(row({**pairs, "cms:name": "front"}, 1)).name == "front"
    for odd in ({"cms:names": "a[1-"}, {"cms:names": "a1"}):
        assert tags.of(row({**pairs, **odd}, 1)).token == "abc.2"


def test_the_token_of_a_request_and_the_number_in_it() -> None:
    assert notes.base_token("abc.12") == ("abc", 12)
    assert notes.base_token("abc") == ("abc", 0)
    assert notes.base_token("a.b") == ("a.b", 0)


def test_more_than_aws_takes_is_refused() -> None:
    with pytest.raises(Invalid, match="more than the 50"):
        Tags(token="a", labels={f"k{number}": "v" for number in range(51)}).pairs()
    with pytest.raises(Invalid, match="too long"):
        Tags(token="a", labels={"é" * 60: "v"}).pairs()


@pytest.mark.parametrize("key", ["aws:x", "AWS:x", "aWs:x", "Name", "cms:token"])
def test_a_label_with_a_key_of_somebody_else_stands_below_ours(key: str) -> None:
    (kept,) = tags.label_pairs({key: "1"})
    assert kept.startswith("cms:label:")
    assert tags.labels({kept: "1"}) == {key: "1"}


def test_the_shown_name_of_a_batch_keeps_its_beginning() -> None:
    names = [f"{letter}{number}-of-the-laboratory" for letter in "abcdefghijkl" for number in (3, 1, 7)]
    pairs = tags.batch_pairs(names)
    assert len(pairs["Name"]) == 256
    assert pairs["Name"].startswith("a3-of")
    assert pairs["Name"].endswith("…")
