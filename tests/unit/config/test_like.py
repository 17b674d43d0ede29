"""A cloud that is like another: its own words over those of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.config import Config

FILE = """\
cloudmesh:
  cloud:
    aws:
      cm: {kind: aws, active: false, heading: The first}
      default: {image: debian, flavor: t3.micro, region: us-east-1}
      credentials: {AWS_ACCESS_KEY_ID: env:ID, AWS_SECRET_ACCESS_KEY: env:KEY}
      owners: [self]
    eu:
      like: aws
      default: {region: eu-west-1}
    small:
      like: eu
      default: {flavor: t3.nano}
      profile: other
    keys:
      like: aws
      credentials: {AWS_PROFILE: x}
    lost: {like: nobody, cm: {kind: fake}}
    self: {like: self, cm: {kind: fake}}
    one: {like: two, cm: {kind: fake}}
    two: {like: one}
"""


@pytest.fixture
def config(own_home: Path) -> Config:
    """Return the configuration of FILE."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(FILE)
    (folder / "cloudmesh.yaml").chmod(0o600)
    return Config(environ={"ID": "an id", "KEY": "a key"})


def test_what_is_not_said_is_the_others(config: Config) -> None:
    found = config.cloud("eu")
    assert (found.kind, found.state, found.label) == ("aws", "active", "eu")
    assert (found.default["region"], found.default["image"], found.default["flavor"]) == (
        "eu-west-1", "debian", "t3.micro",
    )  # fmt: skip
    assert found.options["owners"] == ["self"]
    assert found.reveal() == {"AWS_ACCESS_KEY_ID": "an id", "AWS_SECRET_ACCESS_KEY": "a key"}


def test_a_copy_of_a_copy_with_another_login_has_not_the_credentials_of_the_first(config: Config) -> None:
    found = config.cloud("small")
    assert (found.kind, found.default["region"], found.default["flavor"]) == ("aws", "eu-west-1", "t3.nano")
    assert found.credentials == {}
    assert found.options["profile"] == "other"
    assert config.cloud("keys").reveal() == {"AWS_PROFILE": "x"}


def test_values_are_found_by_their_key(config: Config) -> None:
    assert config.get("cloud.eu.owners") == ["self"]
    assert config.get("cloud.eu.default.image") == "debian"
    assert config.get("cloud.eu.nothing") is None


def test_what_leads_nowhere_adds_nothing_and_is_told(config: Config) -> None:
    assert [config.cloud(name).kind for name in ("lost", "self", "one", "two")] == ["fake"] * 4
    said = [f"{finding.level}: {finding.message}" for finding in config.check() if "is like" in finding.message]
    assert said == [
        "error: cloud lost is like nobody, which is no other cloud here",
        "error: cloud self is like self, which is no other cloud here",
    ]
    assert not config.warnings
