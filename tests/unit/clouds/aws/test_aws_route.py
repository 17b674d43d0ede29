"""Where EC2 is asked without botocore, and requests that are signed as botocore signs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.aws.replay import Replay, Server, images

from cloudms.clock import ManualClock
from cloudms.clouds.aws import route
from cloudms.clouds.aws.link import Link
from cloudms.clouds.aws.settings import Secrets
from cloudms.clouds.aws.sign import signed
from cloudms.clouds.base import Setup
from cloudms.errors import Denied

KEYS = {"EC2_ACCESS_KEY": "AKIDEXAMPLE", "EC2_SECRET_KEY": "example"}
NOW = 1795000000.0


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a home where nothing is said about AWS."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def link(credentials: dict[str, str], **options: str) -> Link:
    setup = Setup(name="aws", default={"location": "us-east-1"}, options=options, credentials=lambda: credentials)
    return Link(setup, ManualClock())


@pytest.mark.parametrize(
    "url",
    [
        "https://ec2.eu-central-1.amazonaws.com", "https://ec2.eu-central-1.amazonaws.com:443/", "http://127.0.0.1:5000",
        "http://EC2.example.org:80/services/Cloud", "https://[2001:db8::1]:8773/services/compute",
    ],
)  # fmt: skip
@pytest.mark.parametrize("token", ["", "a/session+token=="])
@pytest.mark.parametrize("body", ["Action=DescribeImages&Version=2016-11-15", "", "Filter.1.Value.1=%2A%3A07.%2A&n=ü"])
def test_requests_are_signed_as_botocore_signs_them(
    url: str, token: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime

    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    for name in ("get_current_datetime", "_get_current_datetime"):
        if hasattr(auth, name):
            monkeypatch.setattr(auth, name, lambda *_args, **_named: at.replace(tzinfo=None))
    ours = signed(urlsplit(url), body, Secrets(access="AKID", secret="a/b+c", token=token), "eu-central-1", NOW)
    request = AWSRequest("POST", url, {"Content-Type": ours["content-type"]}, body.encode())
    auth.SigV4Auth(Credentials("AKID", "a/b+c", token or None), "ec2", "eu-central-1").add_auth(request)
    theirs = {name.lower(): value for name, value in request.headers.items()}
    assert ours["Authorization"] == theirs["authorization"]
    assert (ours["x-amz-date"], ours.get("x-amz-security-token")) == (
        theirs["x-amz-date"],
        theirs.get("x-amz-security-token"),
    )


def test_keys_of_the_configuration_are_used_as_they_are() -> None:
    assert route.own_keys(link(KEYS)) == Secrets(access="AKIDEXAMPLE", secret="example")
    assert route.own_keys(link({})) is None
    with pytest.raises(Denied, match="secret key"):
        route.own_keys(link({"EC2_ACCESS_KEY": "AKIDEXAMPLE"}))


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL_EC2", "AWS_USE_FIPS_ENDPOINT"])
def test_what_the_environment_says_is_botocores_business(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert route.own_keys(link(KEYS)) is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_what_the_files_of_the_command_line_of_aws_say_is_botocores_business(name: str, alone: Path) -> None:
    (alone / ".aws").mkdir()
    (alone / ".aws" / name).write_text("[default]\nca_bundle = /nowhere\n")
    assert route.own_keys(link(KEYS)) is None


@pytest.mark.parametrize(
    ("region", "options", "url"),
    [
        ("eu-west-1", {}, "https://ec2.eu-west-1.amazonaws.com"),
        ("cn-north-1", {}, "https://ec2.cn-north-1.amazonaws.com.cn"),
        ("eu-west-1", {"endpoint": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_where_ec2_is(region: str, options: dict[str, str], url: str, alone: bool) -> None:
    assert route.endpoint(link(KEYS, **options), region, alone=alone) == url


def test_the_certificates_are_those_of_botocore() -> None:
    from botocore.httpsession import where

    assert Path(route._authorities()).read_bytes() == Path(where()).read_bytes()
    assert route.trust(link(KEYS), alone=True).get_ca_certs()


PROGRAM = """
import sys
from cloudms.clouds.aws.driver import AwsCloud
from cloudms.clouds.base import ImageQuery, Setup
keys = {"EC2_ACCESS_KEY": "a", "EC2_SECRET_KEY": "b"}
cloud = AwsCloud(Setup(name="aws", options={"endpoint": sys.argv[1], "region": "us-east-1"}, credentials=lambda: keys))
assert sum(len(batch.images) for batch in cloud.walk_images(ImageQuery())) == 1500
assert len(list(cloud.list_vms())) == 20
sys.exit(" ".join({"boto3", "botocore"} & set(sys.modules)) or 0)
"""


def test_lists_need_no_sdk_where_the_configuration_has_the_keys(own_home: Path) -> None:
    with Server(Replay(images(1500), instances=20)) as server:
        done = subprocess.run([sys.executable, "-c", PROGRAM, server.url], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
