"""botocore's errors as the house's: by the error code of the service, else by the class of the exception.

Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html. Only one line of what the service
said is kept, without request ids, encoded messages and keys.
"""

from __future__ import annotations

import re
from typing import Any

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

_RENEW = "sign in again: aws sso login, or put fresh temporary keys where the old ones are"
_KEYS = "look at AWS_ACCESS_KEY_ID, AWS_PROFILE or the credentials in cloudmesh.yaml, then: cms cloud check"
_CLOCK = "set the clock of this machine (timedatectl set-ntp true)"
_RIGHT = "ask whoever gives rights on the account for this action (docs/aws.md lists them all)"
_ELSEWHERE = "choose another flavor, zone or region, or try later"
_QUOTA = "cms quota list shows the limits; AWS Service Quotas raises them"
_STATE = "wait until it has settled: cms vm list"
WAYS = (
    "give keys in cloudmesh.yaml (EC2_ACCESS_KEY, EC2_SECRET_KEY) or the environment (AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY), a profile (aws configure, aws sso login, AWS_PROFILE), or a role of this instance"
)

CODES: tuple[tuple[str, type[CloudmsError], str], ...] = (
    (r"RequestLimitExceeded|Throttl\w*|TooManyRequests\w*|.*\.?RequestThrottled\w*|SlowDown|BandwidthLimitExceeded"
     r"|EC2ThrottledException|PriorRequestNotComplete", Throttled, "wait a little"),
    (r"ExpiredToken\w*|RequestExpired|TokenRefreshRequired", Denied, _RENEW),
    (r"SignatureDoesNotMatch|RequestTimeTooSkewed|InvalidSignature\w*|IncompleteSignature", Denied,
     f"the secret key is wrong, or {_CLOCK}"),
    (r"AuthFailure|InvalidClientTokenId|UnrecognizedClient\w*|InvalidAccessKeyId|MissingAuthenticationToken\w*"
     r"|InvalidToken|NotAuthorized\w*", Denied, _KEYS),
    (r"UnauthorizedOperation|AccessDenied\w*|Client\.UnauthorizedOperation", Denied, _RIGHT),
    (r"OptInRequired|SubscriptionRequired\w*", Denied,
     "accept the terms of the image in AWS Marketplace, or enable the region for the account"),
    (r"Blocked|PendingVerification|AccountDisabled", Denied, "AWS holds the account back: see its mail or console"),
    (r"Insufficient(Instance|Host|Reserved\w*|Volume|Address|Free\w*)\w*|Unfulfillable\w*|CapacityNotAvailable"
     r"|SpotMaxPriceTooLow|InsufficientCapacity\w*", NoCapacity, _ELSEWHERE),
    (r"TagLimitExceeded", Invalid, "AWS takes 50 tags, those of cloudms among them: give fewer labels"),
    (r".*LimitExceeded|.*QuotaExceeded\w*|MaxSpotInstanceCountExceeded|\w+PerRegionLimit\w*",
     NoCapacity, _QUOTA),
    (r"Invalid\w*\.NotFound|.*NotFound|.*NotFoundException|InvalidAMIID\.Unavailable|NoSuch\w+|ParameterNotFound"
     r"|ResourceNotFound\w*|InvalidAMIID\.Malformed|InvalidInstanceID\.Malformed", NotFound, ""),
    (r".*\.Duplicate|.*AlreadyExists\w*|EntityAlreadyExists|InvalidAMIName\.Duplicate", Exists, "choose another name"),
    (r"IncorrectInstanceState|Incorrect\w*State|InvalidState\w*|IncorrectStateException|.*\.InUse|VolumeInUse"
     r"|InvalidInstanceID|InstanceAlreadyLinked|InvalidIPAddress\.InUse", Conflict, _STATE),
    (r"OperationNotPermitted", Conflict, "it is protected: cms vm unprotect"),
    (r"DependencyViolation|ResourceInUse\w*|InvalidGroup\.InUse", Conflict, "delete first what still uses it"),
    (r"IdempotentParameterMismatch|InvalidClientToken", Conflict, "boot it with a new name"),
    (r"IdempotentInstanceTerminated", Conflict, "boot it again"),
    (r"Unsupported", Unsupported, "not every zone has every flavor: choose another flavor or --region ZONE"),
    (r"UnsupportedHibernationConfiguration|Unsupported\w*|UnknownOperation\w*|InvalidAction|NotImplemented\w*"
     r"|ActionNotSupported|VPCIdNotSpecified|VolumeTypeNotAvailableInZone", Unsupported, ""),
    (r"Service\w*Unavailable|Unavailable|Internal\w*|RequestTimeout\w*|ServerInternal|.*\.?InternalFailure", NotReady,
     "try again in a moment"),
    (r"Invalid\w*(\.\w+)*|Missing\w+|Malformed\w*|Validation\w*|Unknown\w*|DryRunOperation|EncryptedVolumes\w*",
     Invalid, ""),
)  # fmt: skip
"""Patterns of the whole code, looked at from top to bottom."""

_SECRET = (
    (r"(?:AKIA|ASIA|AIDA|AROA)[A-Z0-9]{12,}", "(key)"),
    (r"Encoded authorization failure message: \S+", ""),
    (r"\(?(Service|Status Code|Request ID|RequestId|Proxy)\s*:[^)]*\)?", ""),
    (r"The Canonical String for this request should have been.*", ""),
)


def mapped(error: Exception, what: str, region: str = "") -> CloudmsError:
    """Return the house's error for one of botocore's.

    Parameters: `what`, the operation that was asked for (`run_instances`); `region`, where.
    """
    from botocore import exceptions as boto

    if isinstance(error, CloudmsError):
        return error
    if isinstance(error, boto.ClientError):
        return _said(error.response, what, region)
    text, where = plain(str(error)), f" in {region}" if region else ""
    details = {"operation": what, "region": region, "error": type(error).__name__}
    for names, kind, message, hint in _CLASSES:
        if type(error).__name__ in names:
            return kind(message.format(where=where, text=text), hint=hint, details=details)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.ConnectionClosedError):
        return NotReady(f"AWS{where} is not reachable: {text}", hint=_NETWORK, details=details)
    if isinstance(error, boto.ParamValidationError | boto.ValidationError):
        return Invalid(f"AWS{where} cannot be asked for this: {text}", details=details)
    return NotReady(f"AWS{where} could not be asked: {text}", hint="cms doctor", details={**details, "retry": False})


def unreadable(what: str, region: str = "") -> NotReady:
    """Return the error for an answer that means nothing, as of a proxy in AWS's place."""
    where = f" in {region}" if region else ""
    return NotReady(
        f"AWS{where} answered what cannot be read", hint=_MALFORMED, details={"operation": what, "region": region}
    )


_NETWORK = "look at the network, the setting endpoint, and the spelling of the region"
_MALFORMED = "something between here and AWS answers in its place: look at the setting endpoint and the proxy"
_CLASSES: tuple[tuple[tuple[str, ...], type[CloudmsError], str, str], ...] = (
    (("NoCredentialsError", "PartialCredentialsError"), Denied, "there are no AWS credentials", WAYS),
    (("ProfileNotFound", "ConfigNotFound"), Denied, "{text}", "aws configure list-profiles shows which there are"),
    (("SSOTokenLoadError", "UnauthorizedSSOTokenError", "SSOError", "TokenRetrievalError", "LoginRefreshRequired"),
     Denied, "the AWS sign-in has ended: {text}", "aws sso login"),
    (("CredentialRetrievalError", "MetadataRetrievalError"), Denied, "AWS credentials cannot be had: {text}", WAYS),
    (("ConfigParseError",), Denied, "{text}", "correct ~/.aws/config"),
    (("NoRegionError",), Invalid, "no AWS region is set", "set location: us-east-1 under default of this cloud"),
    (("ConnectTimeoutError",), NotReady, "AWS{where} is not reachable: no answer in time", _NETWORK),
    (("ReadTimeoutError",), NotReady, "AWS{where} did not answer in time", "the answer was lost: look first"),
    (("EndpointConnectionError", "ConnectionClosedError", "ProxyConnectionError", "SSLError"), NotReady,
     "AWS{where} is not reachable: {text}", _NETWORK),
    (("ResponseParserError", "IncompleteReadError", "ResponseStreamingError", "PaginationError"), NotReady,
     "AWS{where} answered what cannot be read", _MALFORMED),
)  # fmt: skip
"""Names of botocore's exceptions → the house's, the message and the hint."""


def _said(response: Any, what: str, region: str) -> CloudmsError:
    """Return the error for what a service answered."""
    error = response.get("Error", {})
    meta = response.get("ResponseMetadata", {})
    code, status = str(error.get("Code") or ""), int(meta.get("HTTPStatusCode") or 0)
    text = plain(str(error.get("Message") or code))
    details: dict[str, Any] = {"code": code, "operation": what, "region": region}
    kind, hint = _kind(code, status)
    if kind is Throttled:
        details["retry_after"] = _retry_after(meta)
    if kind is Denied and code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
        text = f"not allowed to {action(what)}: {text}"
    if kind is Conflict and code.startswith("OperationNotPermitted") and "rotect" not in text:
        hint = ""
    if code == "AuthFailure" and "clock" in text.lower():
        hint = _CLOCK
    where = f" in {region}" if region else ""
    return kind(f"AWS{where}: {text or 'no reason given'} ({code or status})", hint=hint, details=details)


def _kind(code: str, status: int) -> tuple[type[CloudmsError], str]:
    short = code.removeprefix("Client.").removeprefix("Server.")
    for pattern, kind, hint in CODES:
        if re.fullmatch(pattern, short):
            return kind, hint
    if status == 429:
        return Throttled, "wait a little"
    if status >= 500 or not status:
        return NotReady, "try again in a moment"
    if status in (401, 403):
        return Denied, _KEYS
    return Invalid, ""


def code_of(error: CloudmsError) -> str:
    """Return the code that AWS gave an error, or an empty string."""
    return str(error.details.get("code") or "")


def action(operation: str) -> str:
    """Return an operation as IAM calls it: run_instances → RunInstances."""
    return "".join(word.title() for word in operation.split("_"))


def plain(text: str) -> str:
    """Return one line of what was said, without keys, encoded messages, request ids and the tags of a page."""
    if "<html" in text.lower():
        text = re.sub(r"<(style|script|title).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    for pattern, instead in _SECRET:
        text = re.sub(pattern, instead, text, flags=re.DOTALL)
    return " ".join(text.split()).rstrip(". ")[:400]


def _retry_after(meta: Any) -> float:
    """Return the seconds that the service asks to wait, 0 when it says nothing."""
    value = (meta.get("HTTPHeaders") or {}).get("retry-after", "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", str(value)) else 0.0


__all__ = ["CODES", "WAYS", "action", "code_of", "mapped", "plain", "unreadable"]
