"""Our marks on things of Neutron and Cinder, and the labels beside them."""

from __future__ import annotations

import pytest

from cloudms.clouds.openstack import marks
from cloudms.errors import Invalid


@pytest.mark.parametrize(
    ("token", "owner", "text"),
    [("t1", "ada@lab", ""), ("abc.3", "ada@lab", "web servers"), ("", "ada b@lab", "x [y]"), ("t", "größe", "é")],
)
def test_a_description_says_whose_it_is_and_what_people_wrote(token: str, owner: str, text: str) -> None:
    mark = marks.described({"description": marks.description(token, owner, text)})
    assert (mark.token, mark.owner, mark.text) == (token, owner, text)


def test_a_description_of_somebody_else_is_theirs() -> None:
    assert marks.described({"description": "cms:token=x"}) == marks.Mark(text="cms:token=x")
    assert marks.described({}) == marks.Mark()


def test_a_description_has_an_end() -> None:
    with pytest.raises(Invalid, match="300 characters"):
        marks.description("t" * 32, "ada@lab", "x" * 300)


def test_labels_keep_their_keys_whatever_signs_they_have() -> None:
    labels = {"use": "test", "größe": "a = <b> & 'c'", "a/b": "1", "cms:token": "x", "readonly": "yes", "a b:c": ""}
    pairs = marks.metadata("t1", "ada@lab", labels)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:. ") for key in pairs)
    mark = marks.marked({"metadata": {**pairs, "attached_mode": "rw"}})
    assert (mark.token, mark.owner, mark.labels) == ("t1", "ada@lab", labels)


@pytest.mark.parametrize("labels", [{"k" * 256: "v"}, {"k": "v" * 256}, {"/" * 100: "v"}])
def test_labels_have_an_end(labels: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="too long"):
        marks.metadata("", "", labels)
