"""The template that the last ancestors shipped is read as it is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloudms.config import Config

TEMPLATE = "cloudmesh/configuration/etc/cloudmesh.yaml"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return the unedited cloudmesh.yaml of cloudmesh-configuration 4.4.1."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    got = subprocess.run(
        [*command, "--dest", str(tmp_path), "cloudmesh-configuration==4.4.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode:
        pytest.skip(f"the package index cannot be reached: {got.stderr.strip().splitlines()[-1:]}")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(TEMPLATE, tmp_path))


@pytest.mark.live
def test_the_template_of_4_4_1(template: Path, own_home: Path) -> None:
    config = Config(template)
    assert len(template.read_text().splitlines()) == 488
    assert config.warnings == []
    assert {cloud.name: (cloud.kind, cloud.state) for cloud in config.clouds()} == {
        "azure": ("azure", "unset"),
        "aws": ("aws", "unset"),
        "google": ("google", "unset"),
        "chameleon": ("openstack", "unset"),
        "jetstream": ("openstack", "unset"),
        "docker": ("docker", "unsupported"),
        "local": ("libvirt", "active"),
    }
    assert config.default_cloud() == "local"
    assert config.data["cloudmesh"]["data.mongo.MONGO_HOST"] == "127.0.0.1"
    assert config["database.aws.credentials.driver"].reveal() == "{ODBC Driver 17 for SQL Server}"
    assert config.cloud("aws").reveal() == {
        "region": "us-east-2",
        "EC2_SECURITY_GROUP": "cloudmesh",
        "EC2_PRIVATE_KEY_FILE_PATH": f"{own_home}/.cloudmesh/aws_cert.pem",
        "EC2_PRIVATE_KEY_FILE_NAME": "aws_cert",
    }
    assert [finding for finding in config.check() if finding.level == "error"] == []


@pytest.mark.live
def test_one_value_of_the_template_is_set(template: Path) -> None:
    before = template.read_text()
    config = Config(template)
    config.set("cloud.aws.credentials.EC2_ACCESS_ID", "AKID")
    config.set("cloud.aws.credentials.EC2_SECRET_KEY", "env:AWS_SECRET")
    config.set("cloud.chameleon.credentials.auth.username", "ada")
    assert template.read_text() == before.replace(
        "EC2_ACCESS_ID: TBD\n        EC2_SECRET_KEY: TBD",
        "EC2_ACCESS_ID: AKID\n        EC2_SECRET_KEY: env:AWS_SECRET",
        1,
    ).replace(
        "username: TBD\n          password: TBD\n          auth_url",
        "username: ada\n          password: TBD\n          auth_url",
    )
    assert [config.cloud(name).state for name in ("aws", "chameleon")] == ["active", "active"]
    assert template.stat().st_mode & 0o777 == 0o600
