"""Every command that the papers on cloudmesh's AWS commands print, run as printed on a pretended AWS.

The configuration is that of the paper (figure 4), with keys and defaults filled in as its use case says; where AWS is
comes from the environment, as for every other program that uses boto3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.emulator import Lab, running
from tests.aws.images import OF_2017

pytestmark = [pytest.mark.live, pytest.mark.services]

FIGURE_4 = """cloudmesh:
   clouds:
    aws:
        credentials:
        EC2_ACCESS_KEY: '{EC2_ACCESS_KEY}'
        EC2_SECRET_KEY: '{EC2_SECRET_KEY}'
        . . .
   default:
    image: 'ami-0183d861'
    size: 't2.micro'
   location: 'us-west-1'
"""
README = Path(__file__).parent.parent.parent / "README.md"
SECRET = "aPaperSecretOf2017thatNobodyMaySee"


class Person:
    """Somebody who types what a paper prints."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self.lab = lab
        self.folder = home / ".cloudmesh"
        self.env = {
            **os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(self.folder),
            "AWS_ENDPOINT_URL": lab.endpoint, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "250",
        }  # fmt: skip
        self.folder.mkdir(mode=0o700)
        keys = {"EC2_ACCESS_KEY": "AKIAPAPEROF2017", "EC2_SECRET_KEY": SECRET}
        file = self.folder / "cloudmesh.yaml"
        file.write_text(FIGURE_4.format(**keys))
        file.chmod(0o600)

    def types(self, line: str, code: int = 0) -> str:
        """Run a command line that must end with `code`, and return its results, or its error."""
        done = self.run(line, code)
        return done.stdout if code == 0 else done.stderr

    def run(self, line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command line that must end with `code` and tells no secret."""
        word, *words = line.split()
        assert word == "cms"
        done = subprocess.run(
            [sys.executable, "-m", "cloudms", *words],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done

    def rows(self, line: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        found = json.loads(self.types(f"{line} -o json"))
        return found if isinstance(found, list) else [found]

    def own(self) -> list[dict[str, Any]]:
        """Return the VMs of the two clouds that this person boots on."""
        return [row for cloud in ("aws", "fake") for row in self.rows(f"cms vm list --cloud {cloud}")]

    def names(self) -> list[str]:
        """Return the names of the VMs."""
        return [row["name"] for row in self.rows("cms aws vm list")]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Return a pretended AWS for the papers alone."""
    with running() as found:
        yield found


@pytest.fixture
def person(lab: Lab, tmp_path: Path) -> Person:
    """Return a person with the configuration of figure 4 and an account where nothing is yet."""
    lab.reset()
    home = tmp_path / "person"
    home.mkdir(mode=0o700)
    return Person(lab, home)


def test_images(person: Person) -> None:
    listed = person.types("cms aws image refresh")
    assert listed.split()[:3] == ["NAME", "CLOUD", "ID"]
    assert OF_2017 in listed
    person.types("cms aws refresh off")
    calls = len(person.lab.calls("DescribeImages"))
    assert OF_2017 in {row["id"] for row in person.rows("cms aws image list")}
    assert len(person.lab.calls("DescribeImages")) == calls, "with refresh off, the list comes from the catalog"
    person.types("cms aws refresh on")
    found = next(row for row in person.rows("cms aws image list") if row["id"] == OF_2017)
    assert len(person.lab.calls("DescribeImages")) > calls, "with refresh on, the list comes from the cloud"
    assert (found["cloud"], found["arch"]) == ("aws", "x86_64")
    assert "ubuntu" in found["name"]


@pytest.mark.parametrize("verb", ["refresh", "list"])
def test_flavors(person: Person, verb: str) -> None:
    rows = {row["name"]: row for row in person.rows(f"cms aws flavor {verb}")}
    assert rows["t2.micro"]["memory_mib"] == 1024
    assert {"name", "cloud", "memory_mib", "disk_gib", "price_per_hour"} <= set(rows["t2.micro"])
    assert "t2.micro" in person.types(f"cms aws flavor {verb}")


def test_the_use_case_creates_a_node(person: Person) -> None:
    assert "AWS1" in person.types("cms aws keypair create AWS1")
    assert "AWS1" in person.types("cms aws keypair list")
    booted = person.types("cms aws vm boot ami-0183d861")
    assert booted.split()[0] == "NAME"
    (vm,) = person.rows("cms aws vm list")
    assert vm["image"] == OF_2017
    assert (vm["flavor"], vm["region"], vm["cloud"], vm["state"]) == ("t2.micro", "us-west-1", "aws", "running")
    assert vm["private_ips"]
    assert vm["id"].startswith("i-")
    assert vm["expires"], "an instance that costs money ends itself"


def test_nodes(person: Person) -> None:
    person.types("cms aws vm boot ami-0183d861")
    (vm,) = person.rows("cms aws vm refresh")
    uuid = vm["id"]
    person.types(f"cms aws vm reboot {uuid}")
    assert person.rows("cms aws vm list")[0]["state"] == "running"
    assert uuid in person.types("cms aws vm refresh --columns id,name,state,public_ips,private_ips,cloud")
    person.types(f"cms aws vm delete {uuid}")
    assert person.rows("cms aws vm list") == []
    assert person.lab.things("instance", "volume") == []


def test_key_pairs(person: Person) -> None:
    created = person.rows("cms aws keypair create AWSCLI")
    assert created[0]["name"] == "AWSCLI"
    assert created[0]["fingerprint"]
    private = person.folder / "keys" / "AWSCLI"
    assert private.stat().st_mode & 0o777 == 0o600
    assert [row["KeyName"] for row in person.lab.client("ec2", "us-west-1").describe_key_pairs()["KeyPairs"]] == [
        "AWSCLI"
    ]
    on_cloud = next(row for row in person.rows("cms aws keypair refresh") if row["cloud"] == "aws")
    assert on_cloud["name"] == "AWSCLI"
    assert on_cloud["fingerprint"]
    assert "AWSCLI" in person.types("cms aws keypair list")
    assert person.types("cms aws keypair get AWSCLI").startswith("ssh-ed25519 ")
    person.types("cms aws keypair delete AWSCLI")
    assert person.lab.things("key") == []


@pytest.mark.parametrize("verb", ["refresh", "list"])
def test_locations(person: Person, verb: str) -> None:
    rows = {row["name"]: row for row in person.rows(f"cms aws location {verb}")}
    assert {"us-west-1a", "us-west-1b"} <= set(rows)
    zone = rows["us-west-1a"]
    assert (zone["region"], zone["state"], zone["country"], zone["cloud"]) == ("us-west-1", "available", "USA", "aws")


def test_volumes(person: Person) -> None:
    (made,) = person.rows("cms aws volume create VOL_TEST_1")
    assert (made["name"], made["size_gib"], made["cloud"]) == ("VOL_TEST_1", 1, "aws")
    assert made["id"].startswith("vol-")
    (unnamed,) = person.rows("cms aws volume create")
    assert unnamed["size_gib"] == 1
    listed = person.rows("cms aws volume refresh")
    assert {row["id"] for row in listed} == {made["id"], unnamed["id"]}
    assert {row["id"] for row in person.rows("cms aws volume list")} == {made["id"], unnamed["id"]}
    person.types(f"cms aws volume delete {made['id']}")
    assert [row["id"] for row in person.rows("cms aws volume list")] == [unnamed["id"]]


def test_switching_clouds_with_one_word(person: Person) -> None:
    person.types("cms set default cloud=aws")
    person.types("cms vm boot")
    assert [row["cloud"] for row in person.own()] == ["aws"]
    person.types("cms set default cloud=fake")
    person.types("cms set default image=micro")
    person.types("cms vm boot")
    assert sorted(row["cloud"] for row in person.own()) == ["aws", "fake"]


def test_newawsvm(person: Person) -> None:
    assert person.rows("cms newawsvm status") == []
    for _ in range(2):
        person.types("cms newawsvm boot")
    assert person.names() == ["test_cloudmesh00", "test_cloudmesh01"]
    person.types("cms newawsvm boot")
    assert person.names()[-1] == "test_cloudmesh02"
    (one,) = person.rows("cms newawsvm status test_cloudmesh02")
    assert one["state"] == "running"
    assert len(person.rows("cms newawsvm status test_cloudmesh00 test_cloudmesh01")) == 2
    assert len(person.rows("cms newawsvm status all")) == 3
    assert len(person.rows("cms newawsvm status test_cloudmesh09")) == 3, "an unknown name shows all"
    assert "test_cloudmesh09" in person.run("cms newawsvm status test_cloudmesh09").stderr
    assert "no VM was named" in person.types("cms newawsvm stop", code=2)
    person.types("cms newawsvm stop test_cloudmesh01")
    states = {row["name"]: row["state"] for row in person.rows("cms newawsvm status")}
    assert states == {"test_cloudmesh00": "running", "test_cloudmesh01": "stopped", "test_cloudmesh02": "running"}


def test_several_new_vms_bump_the_last_number_of_a_name(person: Person) -> None:
    person.types("cms newawsvm boot --name test00_cloudmesh00")
    person.types("cms newawsvm boot --name test00_cloudmesh00 --count 5")
    assert person.names() == [f"test00_cloudmesh0{number}" for number in range(6)]


def test_the_path_from_nothing_that_the_readme_shows(person: Person) -> None:
    (person.folder / "cloudmesh.yaml").unlink()
    person.env |= {"AWS_ACCESS_KEY_ID": "AKIAFROMNOTHING", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-west-1"}
    block = README.read_text().partition("## On AWS, from nothing")[2].partition("\n\n")[2].partition("\n\n")[0]
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    assert len(lines) == 8
    for line in lines:
        if line != "cms ssh lab":  # nobody can log in to what is only pretended
            person.types(line)
    assert person.lab.calls("RunInstances")
    assert person.lab.things("instance", "volume", "address") == []
