"""Our part of a domain's metadata, there and back, by every way libvirt gives it."""

from __future__ import annotations

from xml.etree.ElementTree import tostring

import libvirt
import pytest

from cloudms.clouds.libvirt.describe import parse
from cloudms.clouds.libvirt.tags import NAMESPACE, PREFIX, Tags, from_domain, from_element

FULL = Tags(
    token="abcd", files="efgh", owner="ada@lab", image="micro", base="00ff", flavor="tiny", login="cms",
    key_name="k", group="g", private_ip="10.77.1.2", created=1795171430.123456, expires=2e9, protected=True,
    adopted=True, keep_stopped=True, intent="rebuild", intent_at=5.0, target="debian", was_on=True,
    labels={"a": "<&\"'>", "b": ""},
    forwards={"127.77.3.4": {2222: 22, 8080: 80}, "127.77.0.6": {2222: 22}},
)  # fmt: skip


@pytest.mark.parametrize("tags", [Tags(), FULL])
def test_there_and_back(tags: Tags) -> None:
    assert from_element(parse(tags.to_text())) == tags
    assert from_element(parse(tostring(tags.to_element()))) == tags


def test_through_libvirt() -> None:
    conn = libvirt.open("test:///default")
    domain = conn.lookupByName("test")
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, FULL.to_text(), PREFIX, NAMESPACE, 0)
    try:
        assert from_domain(parse(domain.XMLDesc(0))) == FULL
        short = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0)
        assert from_element(parse(short)) == FULL
    finally:
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, PREFIX, NAMESPACE, 0)


def test_what_cannot_be_read_is_not_there() -> None:
    odd = "<vm token='t' created='soon' protected='maybe'><forward address='a' port='x' guest='22'/><label/></vm>"
    assert from_element(parse(odd)) == Tags(token="t", labels={"": ""})


def test_a_domain_of_others_has_none() -> None:
    assert from_domain(parse("<domain><metadata><x xmlns='urn:other'/></metadata></domain>")) is None


@pytest.mark.parametrize(
    ("tags", "expected"),
    [(Tags(token="a"), "a"), (Tags(token="a", adopted=True), ""), (Tags(token="a", files="b", adopted=True), "b")],
)
def test_whose_files(tags: Tags, expected: str) -> None:
    assert tags.file_token == expected
