"""Signing in to an OpenStack: every spelling of the ancestors, clouds.yaml, the environment, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.base import Setup
from cloudms.clouds.openstack import settings, signin
from cloudms.errors import ConfigError, Denied, Invalid, NotFound, Unsupported

NESTED = {
    "auth": {
        "auth_url": "https://kvm.tacc.example:5000/v3", "username": "ada", "password": "pw", "project_id": "CH-1",
        "user_domain_name": "tacc",
    },
    "region_name": "KVM@TACC", "interface": "public", "identity_api_version": "3", "key_path": "~/.ssh/id_rsa.pub",
}  # fmt: skip
FLAT = {
    "OS_AUTH_URL": "https://kvm.tacc.example:5000/v3", "OS_USERNAME": "ada", "OS_PASSWORD": "pw",
    "OS_PROJECT_ID": "CH-1", "OS_USER_DOMAIN_NAME": "tacc", "OS_REGION_NAME": "KVM@TACC", "OS_VERSION": "liberty",
}  # fmt: skip
CLOUDS = """
clouds:
  lab:
    region_name: RegionOne
    verify: false
    auth: {auth_url: "http://127.0.0.1:5000", username: demo, password: lab, project_name: demo}
  jetstream:
    auth_type: v3applicationcredential
    regions: [IU, {name: TACC}]
    auth:
      auth_url: https://js2.example:5000/v3/
      application_credential_id: 0af
      application_credential_secret: s3
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no configuration of this machine in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def find(credentials: Mapping[str, Any], environ: Mapping[str, str] | None = None, **options: Any) -> signin.Login:
    """Sign in as the cloud `lab` of the configuration would."""
    return signin.find("lab", options, credentials, environ or {})


@pytest.fixture
def clouds(tmp_path: Path) -> str:
    """Return the path of a clouds.yaml."""
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    return str(tmp_path / "clouds.yaml")


@pytest.mark.parametrize(
    "given", [NESTED, FLAT, {**NESTED["auth"], "region_name": "KVM@TACC"}], ids=["nested", "OS_", "flat"]
)
def test_every_style_of_the_ancestors_says_the_same(given: dict[str, Any]) -> None:
    login = find(given)
    assert login.auth == {
        "auth_url": "https://kvm.tacc.example:5000/v3", "username": "ada", "password": "pw", "project_id": "CH-1",
        "user_domain_name": "tacc",
    }  # fmt: skip
    assert (login.region, login.way, login.interface, login.verify) == ("KVM@TACC", "password", "public", True)


def test_older_words_and_domains_that_everybody_leaves_out() -> None:
    login = find({"OS_AUTH_URL": "http://h:5000/v2.0", "OS_USERNAME": "a", "OS_PASSWORD": "b", "OS_TENANT_NAME": "t"})
    assert login.auth["auth_url"] == "http://h:5000/v3"
    assert login.auth["project_name"] == "t"
    assert (login.auth["user_domain_id"], login.auth["project_domain_id"]) == ("default", "default")
    mixed = find(
        {"auth_url": "http://h:5000", "username": "a", "password": "b", "project_name": "t", "user_domain_name": "x"}
    )
    assert mixed.auth["project_domain_name"] == "x"


def test_an_application_credential_needs_no_project_and_no_domain() -> None:
    login = find(
        {"OS_AUTH_URL": "https://h/v3", "OS_APPLICATION_CREDENTIAL_ID": "0af", "OS_APPLICATION_CREDENTIAL_SECRET": "s3"}
    )
    assert login.way == "application"
    assert set(login.auth) == {"auth_url", "application_credential_id", "application_credential_secret"}


def test_a_token_is_taken_where_there_is_no_password() -> None:
    assert find({"auth_url": "https://h/v3", "token": "gAAAA", "project_id": "p"}).way == "token"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"auth_url": "https://h/v3", "username": "a"}, "no password"),
        ({"auth_url": "https://h/v3", "password": "a"}, "no username"),
        ({"auth_url": "https://h/v3", "application_credential_secret": "a"}, "no application_credential_id"),
        ({"username": "a", "password": "b"}, "has no auth_url"),
        ({}, "has no credentials of OpenStack"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, str], missing: str) -> None:
    with pytest.raises(Denied, match=missing) as refused:
        find(given)
    assert refused.value.hint


@pytest.mark.parametrize("url", ["keystone.example", "ftp://h/v3", "https:///v3"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Invalid, match="not a URL"):
        find({"auth_url": url, "username": "a", "password": "b"})


def test_only_the_third_version_of_keystone_is_spoken() -> None:
    with pytest.raises(Unsupported):
        signin.address("https://h:9000/old/v2.0")
    assert signin.address("https://h/identity/") == "https://h/identity/v3"


def test_a_cloud_of_clouds_yaml_is_taken_by_name_and_overruled_by_what_the_entry_says(clouds: str) -> None:
    login = find({}, clouds_yaml=clouds, cloud="jetstream")
    assert (login.way, login.regions, login.cloud) == ("application", ("IU", "TACC"), "jetstream")
    assert login.auth["auth_url"] == "https://js2.example:5000/v3"
    assert find({"cloud": "lab"}, clouds_yaml=clouds).verify is False
    other = find({"OS_CLOUD": "lab", "OS_PASSWORD": "mine"}, clouds_yaml=clouds, verify=True)
    assert (other.auth["password"], other.auth["username"], other.verify) == ("mine", "demo", True)


def test_the_name_of_the_entry_is_enough_where_clouds_yaml_has_it(clouds: str) -> None:
    assert find({}, {"OS_CLIENT_CONFIG_FILE": clouds}).auth["username"] == "demo"
    with pytest.raises(Denied) as refused:
        signin.find("other", {}, {}, {"OS_CLIENT_CONFIG_FILE": clouds})
    assert "jetstream, lab" in refused.value.hint


def test_a_cloud_that_is_not_in_the_file_is_told_with_the_nearest(clouds: str) -> None:
    with pytest.raises(NotFound, match="has no cloud 'jetsteam'") as refused:
        find({}, clouds_yaml=clouds, cloud="jetsteam")
    assert refused.value.hint == "did you mean jetstream?"


def test_the_environment_stands_in_for_an_entry_without_credentials(clouds: str) -> None:
    assert find({}, FLAT).auth["username"] == "ada"
    chosen = find({}, {**FLAT, "OS_CLOUD": "lab", "OS_CLIENT_CONFIG_FILE": clouds})
    assert chosen.auth["username"] == "demo"


def test_secrets_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text(CLOUDS.replace("password: lab, ", ""))
    (tmp_path / "secure.yaml").write_text("clouds: {lab: {auth: {password: hidden}}}")
    assert find({}, cloud="lab").auth["password"] == "hidden"


def test_a_file_that_is_no_yaml_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds:\n  lab: {auth: [\n")
    with pytest.raises(ConfigError, match=r"clouds.yaml, line \d+ is not YAML"):
        find({}, cloud="lab")


def test_nothing_secret_is_shown() -> None:
    assert "pw" not in repr(find(FLAT))
    setup = Setup(name="lab", credentials=lambda: FLAT)
    assert "pw" not in repr(settings.read(setup, FLAT, {}).login)


def read(
    credentials: Mapping[str, Any] = FLAT, default: Mapping[str, Any] | None = None, **options: Any
) -> settings.Settings:
    """Return the settings of a cloud."""
    return settings.read(Setup(name="lab", options=options, default=default or {}), credentials, {})


def test_a_location_is_a_region_with_or_without_a_zone() -> None:
    assert (read().region, read().zone) == ("KVM@TACC", "")
    there = read(default={"location": "RegionOne/az2"})
    assert (there.region, there.zone) == ("RegionOne", "az2")


def test_lists_are_written_in_yaml_or_with_commas() -> None:
    assert read(regions="a, b").regions == read(regions=["a", "b"]).regions == ("a", "b")
    assert read(default={"security_group": "web, ssh"}).security_groups == ("web", "ssh")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"server_group": "near"}, "server_group cannot be 'near'"),
        ({"config_drive": "perhaps"}, "config_drive cannot be"),
        ({"read_timeout": "soon"}, "read_timeout cannot be"),
        ({"endpoint": "https://h"}, "endpoint says which URL is whose"),
        ({"endpoint": {"computer": "https://h"}}, "no service 'computer'"),
        ({"endpoint": {"compute": "h"}}, "endpoint of compute is not a URL"),
        ({"interface": "secret"}, "interface cannot be 'secret'"),
    ],
)
def test_a_setting_that_cannot_be_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read(**options)
