"""botocore's errors as the house's: class, one line, a hint, never a secret."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from cloudms.clouds.aws.errors import mapped, plain
from cloudms.errors import (
    CloudmsError,
    Conflict,
    Denied,
    Exists,
    Invalid,
    NoCapacity,
    NotFound,
    NotReady,
    Throttled,
    Unsupported,
)


def said(code: str, message: str = "no", status: int = 400, wait: str = "") -> CloudmsError:
    meta = {
        "HTTPStatusCode": status,
        "RequestId": "r-1",
        "HTTPHeaders": {"retry-after": wait} if wait else {},
        "RetryAttempts": 0,
    }
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": meta}
    return mapped(boto.ClientError(response, "RunInstances"), "run_instances", "us-east-1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RequestLimitExceeded", Throttled), ("Throttling", Throttled), ("ThrottlingException", Throttled),
        ("TooManyRequestsException", Throttled), ("EC2ThrottledException", Throttled),
        ("UnauthorizedOperation", Denied), ("AuthFailure", Denied), ("InvalidClientTokenId", Denied),
        ("ExpiredToken", Denied), ("ExpiredTokenException", Denied), ("RequestExpired", Denied),
        ("SignatureDoesNotMatch", Denied), ("AccessDeniedException", Denied), ("OptInRequired", Denied),
        ("PendingVerification", Denied), ("UnrecognizedClientException", Denied),
        ("InsufficientInstanceCapacity", NoCapacity), ("InstanceLimitExceeded", NoCapacity),
        ("VcpuLimitExceeded", NoCapacity), ("MaxSpotInstanceCountExceeded", NoCapacity),
        ("TagLimitExceeded", Invalid),
        ("AddressLimitExceeded", NoCapacity), ("VolumeLimitExceeded", NoCapacity),
        ("InsufficientFreeAddressesInSubnet", NoCapacity), ("SpotMaxPriceTooLow", NoCapacity),
        ("RulesPerSecurityGroupLimitExceeded", NoCapacity), ("SnapshotLimitExceeded", NoCapacity),
        ("InvalidInstanceID.NotFound", NotFound), ("InvalidAMIID.NotFound", NotFound),
        ("InvalidAMIID.Unavailable", NotFound), ("InvalidAMIID.Malformed", NotFound),
        ("InvalidGroup.NotFound", NotFound), ("InvalidKeyPair.NotFound", NotFound),
        ("InvalidVolume.NotFound", NotFound), ("ParameterNotFound", NotFound), ("InvalidSubnetID.NotFound", NotFound),
        ("InvalidKeyPair.Duplicate", Exists), ("InvalidGroup.Duplicate", Exists),
        ("InvalidPermission.Duplicate", Exists),
        ("IncorrectInstanceState", Conflict), ("IncorrectState", Conflict), ("VolumeInUse", Conflict),
        ("DependencyViolation", Conflict), ("OperationNotPermitted", Conflict), ("InvalidIPAddress.InUse", Conflict),
        ("IdempotentParameterMismatch", Conflict), ("IdempotentInstanceTerminated", Conflict),
        ("InvalidParameterValue", Invalid), ("InvalidParameterCombination", Invalid), ("MissingParameter", Invalid),
        ("InvalidBlockDeviceMapping", Invalid), ("InvalidUserData.Malformed", Invalid), ("ValidationError", Invalid),
        ("UnsupportedOperation", Unsupported), ("Unsupported", Unsupported), ("InvalidAction", Unsupported),
        ("UnsupportedHibernationConfiguration", Unsupported),
        ("ServiceUnavailable", NotReady), ("Unavailable", NotReady), ("InternalError", NotReady),
        ("InternalFailure", NotReady), ("SomethingNew", Invalid),
    ],
)  # fmt: skip
def test_every_code_has_its_class(code: str, kind: type[CloudmsError]) -> None:
    error = said(code)
    assert type(error) is kind
    assert error.message.startswith("AWS in us-east-1: ")
    assert error.message.endswith(f"no ({code})")
    assert error.details["code"] == code


@pytest.mark.parametrize(
    ("status", "kind"), [(500, NotReady), (503, NotReady), (429, Throttled), (403, Denied), (400, Invalid)]
)
def test_an_unknown_code_goes_by_its_status(status: int, kind: type[CloudmsError]) -> None:
    assert type(said("Odd", status=status)) is kind


def test_throttling_says_how_long_to_wait() -> None:
    assert said("RequestLimitExceeded", wait="7").details["retry_after"] == 7.0
    assert said("RequestLimitExceeded").details["retry_after"] == 0.0


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("ExpiredToken", "The security token included in the request is expired", "aws sso login"),
        ("SignatureDoesNotMatch", "Signature expired: 2026 is now earlier than 2026", "clock"),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", "credentials"),
        ("OptInRequired", "In order to use this AWS Marketplace product you need to accept terms", "Marketplace"),
        ("VcpuLimitExceeded", "You have requested more vCPU capacity than your limit", "cms quota list"),
        ("UnauthorizedOperation", "You are not authorized", "rights"),
    ],
)
def test_the_hint_says_what_to_do(code: str, message: str, words: str) -> None:
    assert words in said(code, message).hint


def test_nothing_secret_or_noisy_is_kept() -> None:
    error = said(
        "UnauthorizedOperation",
        "User: arn:aws:iam::1:user/AKIAIOSFODNN7EXAMPLE is not allowed.\n"
        "Encoded authorization failure message: 4fGbQ_very-long_blob",
    )
    text = error.message + error.hint + repr(error.details)
    assert "AKIAIOSFODNN7EXAMPLE" not in text
    assert "very-long_blob" not in text
    assert "\n" not in text
    assert "not allowed to RunInstances" in error.message


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (boto.NoCredentialsError(), Denied, "no AWS credentials"),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), Denied, "no AWS credentials"),
        (boto.ProfileNotFound(profile="lab"), Denied, "lab"),
        (boto.SSOTokenLoadError(error_msg="expired"), Denied, "sign-in"),
        (boto.UnauthorizedSSOTokenError(), Denied, "sign-in"),
        (boto.NoRegionError(), Invalid, "region"),
        (boto.EndpointConnectionError(endpoint_url="http://x", error="refused"), NotReady, "not reachable"),
        (boto.ConnectTimeoutError(endpoint_url="http://x"), NotReady, "not reachable"),
        (boto.ReadTimeoutError(endpoint_url="http://x"), NotReady, "did not answer in time"),
        (boto.ConnectionClosedError(endpoint_url="http://x"), NotReady, "not reachable"),
        (boto.SSLError(endpoint_url="http://x", error="certificate"), NotReady, "not reachable"),
        (boto.ParamValidationError(report="Missing x"), Invalid, "Missing x"),
        (ResponseParserError("Unable to parse response <html>secret</html>"), NotReady, "cannot be read"),
    ],
)
def test_errors_before_and_after_an_answer(error: Exception, kind: type[CloudmsError], words: str) -> None:
    found = mapped(error, "describe_instances", "eu-west-1")
    assert type(found) is kind
    assert words in found.message
    assert "<html>" not in found.message


def test_an_error_of_the_house_stays_what_it_is() -> None:
    error = NotFound("gone")
    assert mapped(error, "x") is error


def test_plain_is_the_text_of_a_page() -> None:
    page = "<html><head><title>x</title></head><body><h1>Internal</h1>\n<p>Server Error</p></body></html>"
    assert plain(page) == "Internal Server Error"


def test_plain_is_one_line_without_an_end() -> None:
    assert plain("It failed.\n  (Service: Ec2, Status Code: 400, Request ID: abc)\n") == "It failed"
