"""Files as people of Chameleon and Jetstream have them, used as they are: only what names a cloud is the lab's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.openstack.accounts import IMAGE, Account
from tests.live.openstack.cms import FLAVOR
from tests.live.openstack.lab import Lab, session_of
from tests.live.openstack.places import ONE, PASSWORD
from tests.live.several import openstack

pytestmark = [pytest.mark.live, pytest.mark.services]

CASES = Path(__file__).parent.parent / "cases" / "config"
CLOUDS = """\
clouds:
  chi-kvm:
    region_name: {region}
    auth:
      auth_url: {auth_url}
      username: {name}
      project_name: {name}
      user_domain_name: Default
      project_domain_name: Default
  chi-uc:
    auth_type: v3applicationcredential
    region_name: {region}
    auth: {{auth_url: {auth_url}, application_credential_id: {key}}}
"""
SECURE = """\
clouds:
  chi-kvm: {{auth: {{password: {password}}}}}
  chi-uc: {{auth: {{application_credential_secret: {secret}}}}}
"""


class Person:
    """Somebody with an account and a home, who has a file from elsewhere."""

    def __init__(self, lab: Lab, account: Account, home: Path) -> None:
        self.lab, self.account, self.home = lab, account, home
        self.env = {**os.environ}

    def file(self, case: str, replaced: Mapping[str, str]) -> None:
        """Put a file of the cases into the home, with what names its cloud replaced by what names the lab."""
        text = (CASES / case / "cloudmesh.yaml").read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        folder = self.home / ".cloudmesh"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / "cloudmesh.yaml"
        file.touch(mode=0o600)
        file.write_text(text)

    def cms(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON; it tells no secret."""
        argv = [sys.executable, "-m", "cloudms", *words, "-o", "json"]
        done = subprocess.run(
            argv, env=self.env, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        return found if isinstance(found, list) else [found]

    def lives(self, *cloud: str) -> dict[str, Any]:
        """Return a VM that was booted with the defaults of a cloud and is deleted again."""
        (vm,) = self.cms("vm", "boot", *cloud)
        assert vm["state"] == "running"
        assert [row["name"] for row in self.cms("vm", "list", "--cloud", vm["cloud"])] == [vm["name"]]
        assert len(self.lab.things(self.account, "server")) == 1
        self.cms("vm", "delete", vm["name"], "--yes")
        assert not [left for left in self.lab.left(self.account) if left.startswith("server")]
        return vm

    def application(self) -> tuple[str, str]:
        """Return id and secret of a new application credential of the account."""
        body = {"application_credential": {"name": f"cms-{uuid.uuid4().hex[:8]}", "unrestricted": False}}
        path = f"users/{self.account.user}/application_credentials"
        made = session_of(self.account)("POST", "keystone", path, body)["application_credential"]
        return made["id"], made["secret"]


@pytest.fixture
def person(own_home: Path) -> Iterator[Person]:
    """Return a person with an account of their own."""
    with openstack() as (lab, account):
        yield Person(lab, account, own_home)


def test_flat_words_as_chameleon_had_them(person: Person) -> None:
    name, url = person.account.name, person.account.login["auth_url"]
    person.file("chameleon", {
        "https://openstack.tacc.example.org:5000/v3": url, "    user: ada": f"    user: {name}", "CH-818144": name,
        "flat-hunter2": PASSWORD, "m1.medium": FLAVOR, "CC-Ubuntu18.04": IMAGE,
        "e01ee12e-fd22-4b21-a050-d3e015f42bb1": "private",
    })  # fmt: skip
    assert [(row["name"], row["state"]) for row in person.cms("cloud", "check", "chameleon")] == [("chameleon", "ok")]
    vm = person.lives()
    assert (vm["cloud"], vm["image"], vm["flavor"], vm["login"]) == ("chameleon", IMAGE, FLAVOR, "cc")


def test_nested_auth_and_an_application_credential_as_jetstream_had_them(person: Person) -> None:
    account, url = person.account, person.account.login["auth_url"]
    key, secret = person.application()
    person.file("jetstream", {
        "https://iu.jetstream.example.org:5000/v3": url, "https://js2.jetstream.example.org:5000/v3/": f"{url}/",
        "username: ada": f"username: {account.name}", "nested-hunter2": PASSWORD,
        "0011223344556677889900aabbccddee": account.project, "project_name: cloudmesh": f"project_name: {account.name}",
        '"tacc"': '"Default"', "IU-Region": ONE.name, "5fbd1cd5c0e24a0c9eee7a2b1f8a3c11": key,
        "application-hunter2": secret, "m1.small": FLAVOR, "m3.small": FLAVOR, "Featured-Ubuntu22": IMAGE,
        "JS-API-Featured-Ubuntu18-Latest": IMAGE, "cloudmesh-net": "private", "auto_allocated_network": "private",
    })  # fmt: skip
    checked = {row["name"]: row["state"] for row in person.cms("cloud", "check", "jetstream", "jetstream2")}
    assert checked == {"jetstream": "ok", "jetstream2": "ok"}
    assert person.lives()["cloud"] == "jetstream"
    assert person.lives("--cloud", "jetstream2")["login"] == "ubuntu"


def test_clouds_yaml_with_two_clouds_is_used_with_an_entry_and_with_none(person: Person) -> None:
    key, secret = person.application()
    folder = person.home / ".config" / "openstack"
    folder.mkdir(parents=True)
    values = {"region": ONE.name, "auth_url": person.account.login["auth_url"], "name": person.account.name}
    (folder / "clouds.yaml").write_text(CLOUDS.format(**values, key=key))
    (folder / "secure.yaml").write_text(SECURE.format(password=PASSWORD, secret=secret))
    for cloud in ("chi-kvm", "chi-uc"):
        assert [row["state"] for row in person.cms("cloud", "check", cloud)] == ["ok"]
        assert {row["name"] for row in person.cms("flavor", "list", "--cloud", cloud)} >= {FLAVOR}
    vm = person.lives(IMAGE, "--flavor", FLAVOR, "--cloud", "chi-kvm")
    assert vm["cloud"] == "chi-kvm"
    person.cms("set", f"image={IMAGE}", f"flavor={FLAVOR}", "--cloud", "chi-uc")
    person.cms("set", "cloud=chi-uc")
    assert person.lives()["cloud"] == "chi-uc"
    person.cms("set", "cloud=")
    person.file("clouds-yaml", {"CC-Ubuntu22.04": IMAGE, "m1.small": FLAVOR, "    user: ada": "    user: eve"})
    assert {row["name"]: row["state"] for row in person.cms("cloud", "check", "kvm", "uc")} == {
        "kvm": "ok",
        "uc": "ok",
    }
    assert person.lives()["name"].startswith("eve-kvm-")
