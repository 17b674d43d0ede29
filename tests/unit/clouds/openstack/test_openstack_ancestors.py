"""How one signs in with the files that the ancestors' people have."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.clouds.openstack import errors, signin
from cloudms.config import Config

CASES = Path(__file__).parents[3] / "cases" / "config"
LOGINS = {
    ("chameleon", "chameleon"): {
        "auth_url": "https://openstack.tacc.example.org:5000/v3", "username": "ada", "password": "flat-hunter2",
        "project_name": "CH-818144", "project_domain_id": "default", "user_domain_id": "default",
    },
    ("jetstream", "jetstream"): {
        "auth_url": "https://iu.jetstream.example.org:5000/v3", "username": "ada", "password": "nested-hunter2",
        "project_id": "0011223344556677889900aabbccddee", "project_name": "cloudmesh", "user_domain_name": "tacc",
        "project_domain_name": "tacc",
    },
    ("jetstream", "jetstream2"): {
        "auth_url": "https://js2.jetstream.example.org:5000/v3",
        "application_credential_id": "5fbd1cd5c0e24a0c9eee7a2b1f8a3c11",
        "application_credential_secret": "application-hunter2",
    },
}  # fmt: skip


@pytest.mark.parametrize(("case", "cloud"), LOGINS, ids="-".join)
def test_files_sign_in_as_they_are(case: str, cloud: str) -> None:
    settings = Config(CASES / case / "cloudmesh.yaml").cloud(cloud)
    login = signin.find(cloud, settings.options, settings.reveal(), {})
    assert dict(login.auth) == LOGINS[case, cloud]
    assert login.interface == "public"
    assert login.region == {"chameleon": "RegionOne", "jetstream": "RegionOne", "jetstream2": "IU-Region"}[cloud]
    assert "hunter2" not in repr(login)


def test_a_project_whose_name_stands_for_its_id_is_found_by_its_name() -> None:
    told = {"auth_url": "https://k/v3", "username": "a", "password": "b", "project_id": "CH-1", "project_name": "CH-1"}
    assert "project_id" not in signin.find("x", {}, told, {}).auth
    assert signin.find("x", {}, {**told, "project_id": "0f"}, {}).auth["project_id"] == "0f"


def test_an_address_with_a_password_is_told_without_it() -> None:
    assert (
        errors.plain("no answer from https://ada:hunter@2@k.example.org/v3.")
        == "no answer from https://k.example.org/v3"
    )
