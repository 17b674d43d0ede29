"""The way to AWS without AWS: credentials, regions, pages, and what stays of a list when a region is broken."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from cloudms.clock import ManualClock
from cloudms.clouds.aws.link import Link, moment, sdk
from cloudms.clouds.aws.pace import Pace
from cloudms.clouds.aws.wire import Wire
from cloudms.clouds.base import Setup
from cloudms.errors import CloudmsError, Denied, Invalid, MissingExtra, NotFound, NotReady, Throttled

KEYS = {"EC2_ACCESS_KEY": "testing", "EC2_SECRET_KEY": "testing-secret"}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let boto3 find no credentials of this machine."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def link(credentials: dict[str, str] | None = None, location: str = "us-east-1", **options: Any) -> Link:
    setup = Setup(
        name="aws", default={"location": location}, options=options,
        credentials=lambda: KEYS if credentials is None else credentials,
    )  # fmt: skip
    return Link(setup, ManualClock())


def test_without_credentials_anywhere_the_ways_are_named() -> None:
    with pytest.raises(Denied) as refused:
        link({}).client("ec2")
    assert "no AWS credentials" in refused.value.message
    for way in ("EC2_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "aws sso login", "AWS_PROFILE", "role"):
        assert way in refused.value.hint


def test_an_unknown_profile_is_denied_and_a_known_one_brings_keys_and_region(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="lab"):
        link({}, profile="lab").client("ec2")
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = eu-west-1\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    assert link({}, "", profile="lab").region == "eu-west-1"
    assert link({"AWS_PROFILE": "lab"}, "").client("ec2").meta.region_name == "eu-west-1"


def test_no_region_anywhere_is_invalid() -> None:
    with pytest.raises(Invalid, match="no region"):
        _ = link(location="").region


def test_a_missing_sdk_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra):
        sdk()


def test_clients_are_made_once_for_all_threads_and_say_who_they_are() -> None:
    one = link()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(one.client("ec2"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1
    config = found[0].meta.config
    assert config.user_agent_extra.startswith("cloudms/")
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("adaptive", 3)
    assert (config.connect_timeout, config.read_timeout) == (10.0, 60.0)


def test_an_endpoint_is_where_the_client_asks() -> None:
    client = link(endpoint={"ec2": "http://127.0.0.1:9"}).client("ec2")
    assert client.meta.endpoint_url == "http://127.0.0.1:9"


def test_pages_are_followed_to_the_end_and_an_error_comes_after_the_rows() -> None:
    one = link()
    with Stubber(one.client("ec2")) as stub:
        for token, key in ((None, "a"), ("t1", "b")):
            asked = {"MaxResults": 5, **({"NextToken": token} if token else {})}
            reply = {"Volumes": [{"VolumeId": key}], "NextToken": "t1" if key == "a" else "t2"}
            stub.add_response("describe_volumes", reply, asked)
        stub.add_client_error("describe_volumes", "RequestLimitExceeded", "slow down", 503)
        rows = one.pages("describe_volumes", "Volumes", MaxResults=5)
        assert [next(rows)["VolumeId"], next(rows)["VolumeId"]] == ["a", "b"]
        with pytest.raises(Throttled):
            next(rows)


def test_a_call_is_mapped_with_its_region() -> None:
    one = link()
    with Stubber(one.client("ec2")) as stub:
        stub.add_client_error("describe_volumes", "InvalidVolume.NotFound", "The volume 'v' does not exist.", 400)
        with pytest.raises(
            NotFound, match=r"AWS in us-east-1: The volume 'v' does not exist \(InvalidVolume.NotFound\)"
        ):
            one.call("describe_volumes")
    with pytest.raises(Invalid):
        one.call("describe_volumes", NoSuchParameter=1)


def several(*regions: str) -> Link:
    return link(regions=list(regions))


def test_one_broken_region_never_hides_the_others_and_is_named() -> None:
    def rows(region: str) -> Iterator[str]:
        yield f"{region}/1"
        if region == "eu-west-1":
            raise NotReady("AWS in eu-west-1 is not reachable: refused", hint="look")
        yield f"{region}/2"

    got: list[str] = []
    with pytest.raises(NotReady, match="eu-west-1") as failed:
        for row in several("us-east-1", "eu-west-1", "ap-south-1").each_region(rows):
            got.append(row)
    assert sorted(got) == ["ap-south-1/1", "ap-south-1/2", "eu-west-1/1", "us-east-1/1", "us-east-1/2"]
    assert failed.value.details["regions"] == ["eu-west-1"]
    assert failed.value.details["complete"] == ["us-east-1", "ap-south-1"]
    assert failed.value.hint == "look"


def test_several_broken_regions_are_one_error_that_is_worth_a_retry_when_one_of_them_is() -> None:
    def rows(region: str) -> list[str]:
        errors: dict[str, CloudmsError] = {"eu-west-1": Denied("no"), "ap-south-1": Throttled("slow")}
        if region in errors:
            raise errors[region]
        return [region]

    with pytest.raises(Throttled, match="2 regions did not answer"):
        list(several("us-east-1", "eu-west-1", "ap-south-1").each_region(rows))


def test_one_region_streams() -> None:
    seen: list[int] = []

    def rows(_region: str) -> Iterator[int]:
        for number in range(3):
            seen.append(number)
            yield number

    first = link().each_region(rows)
    assert next(first) == 0
    assert seen == [0]


@pytest.mark.parametrize(
    "text",
    ["2026-10-01T12:00:07.000Z", "2026-10-01T12:00:07.250Z", "2026-10-01T12:00:07Z", "2026-10-01T12:00:07+02:00",
     "Thu, 01 Oct 2026 12:00:07 GMT", "1790856007", "1790856007.5", "20261001T120007Z", 1790856007],
)  # fmt: skip
def test_a_time_is_read_as_botocore_reads_it(text: Any) -> None:
    from botocore.utils import parse_timestamp

    assert moment(text) == parse_timestamp(text)


def test_times_of_answers_are_read_so() -> None:
    factory = link().client("ec2")._endpoint._response_parser_factory
    assert factory.create_parser("ec2")._timestamp_parser is moment
    with pytest.raises(ValueError, match="Invalid timestamp"):
        moment("soonTsoonZ")


PAGES = {
    "a list of buckets": (200, b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"),
    "a page that is well-formed": (200, b"<html><body><p>sign in to the network</p></body></html>"),
    "a page that is not": (200, b"<!doctype html>\n<html lang=en>\n<title>hello</title>\n<h1>hello"),
    "an error that is no XML": (500, b"<!doctype html>\n<html lang=en>\n<title>500</title>\n<h1>Error</h1>\n<p>no"),
}
"""What something between here and AWS may answer in its place: status and body."""


@pytest.fixture(params=list(PAGES))
def impostor(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a server that answers everything in the same way."""
    status, body = PAGES[request.param]

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_of_somebody_else_is_an_error_and_no_empty_list(impostor: str) -> None:
    one = link(endpoint=impostor, max_retries=0)
    asked = {
        "call": lambda: one.call("describe_key_pairs"),
        "once": lambda: one.call_once("delete_key_pair", KeyName="a"),
        "pages": lambda: list(one.pages("describe_volumes", "Volumes")),
        "sts": lambda: one.call("get_caller_identity", service="sts"),
        "wire": lambda: Wire(one, "us-east-1", Pace(one.clock), {}).page("DescribeImages", {}),
    }  # fmt: skip
    for how, ask in asked.items():
        with pytest.raises(NotReady) as refused:
            ask()
        assert "cannot be read" in refused.value.message, how
        assert "the setting endpoint and the proxy" in refused.value.hint, how
        assert "<" not in refused.value.message, how
