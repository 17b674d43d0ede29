"""What a cloud of kind `aws` is told: keys in every spelling of the ancestors, region or zone, and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cloudms.clouds import words
from cloudms.clouds.base import Setup
from cloudms.errors import Denied, Invalid
from cloudms.record import Record

ACCESS = ("AWS_ACCESS_KEY_ID", "EC2_ACCESS_ID", "EC2_ACCESS_KEY", "access_key_id", "access_key", "key")
SECRET = ("AWS_SECRET_ACCESS_KEY", "EC2_SECRET_KEY", "secret_access_key", "secret_key", "secret")
TOKEN = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "session_token")
PROFILE = ("profile", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
REGION = ("region", "region_name", "AWS_REGION", "AWS_DEFAULT_REGION", "EC2_REGION")
ALL = "all"
"""The setting `regions` that stands for every region of the account."""

_REGION = r"([a-z]{2,4}(?:-[a-z]+){1,2}-\d+)(-.+)?([a-z])?"
_HOST = r"(?:ec2\.)?([a-z0-9-]+)(?:\.ec2)?\.amazonaws\.com(?:\.cn)?"


class Secrets(Record):
    """Keys out of the configuration; all empty lets boto3 look in its own places."""

    access: str = ""
    secret: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Show no value."""
        return "Secrets(******)" if self.access else "Secrets()"


class Settings(Record):
    """The settings of one cloud.

    `older_group` is the security group that the ancestors' file names, used where the account has it.
    `region` and `zone` are empty when nothing says them (boto3 may know a region); `regions` those that are listed;
    `endpoints` by service, under an empty key for all services; `connect_timeout` and `read_timeout` in seconds.
    """

    region: str = ""
    zone: str = ""
    regions: tuple[str, ...] = ()
    profile: str = ""
    endpoints: Mapping[str, str] = {}
    max_retries: int = 2
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    instance_profile: str = ""
    subnet: str = ""
    security_group: str = ""
    older_group: str = ""
    imds: str = "required"
    encrypted: bool = True
    spot: bool = False
    hibernate: bool = False

    def endpoint(self, service: str) -> str:
        """Return the URL where a service is asked, empty for Amazon's own."""
        return self.endpoints.get(service) or self.endpoints.get("", "")

    def reachable(self, service: str) -> bool:
        """Whether a service is to be had: an EC2 of one's own need not have the others."""
        return bool(self.endpoint(service)) or not self.endpoints.get("ec2")


def read(setup: Setup, credentials: Mapping[str, Any]) -> Settings:
    """Return the settings of a cloud. Raises: Invalid (an option has a value that it cannot have)."""
    options, default = setup.options, setup.default
    url = str(credentials.get("EC2_URL") or "")
    said = default.get("location") or default.get("region") or options.get("region")
    region, zone = place(str(said or _first(credentials, REGION) or _region_of(url)))
    imds = str(options.get("imds") or "required")
    if imds not in ("required", "optional"):
        raise Invalid(f"imds cannot be {imds!r}", hint="required (IMDSv2 only) or optional")
    return Settings(
        region=region, zone=zone, regions=_regions(options.get("regions"), region),
        profile=str(options.get("profile") or _first(credentials, PROFILE)),
        endpoints=_endpoints(options.get("endpoint"), "" if _region_of(url) else url),
        max_retries=int(words.number("max_retries", options.get("max_retries"), 2)),
        connect_timeout=words.number("connect_timeout", options.get("connect_timeout"), 10.0),
        read_timeout=words.number("read_timeout", options.get("read_timeout"), 60.0),
        instance_profile=str(options.get("instance_profile") or ""),
        subnet=str(options.get("subnet") or default.get("subnet") or ""),
        security_group=str(options.get("security_group") or default.get("security_group") or ""),
        older_group=str(default.get("secgroup") or credentials.get("EC2_SECURITY_GROUP") or ""),
        imds=imds, encrypted=words.flag("encrypted", options.get("encrypted"), True),
        spot=words.flag("spot", options.get("spot"), False),
        hibernate=words.flag("hibernate", options.get("hibernate"), False),
    )  # fmt: skip


def secrets(credentials: Mapping[str, Any]) -> Secrets:
    """Return the keys in whatever spelling they stand. Raises: Denied (half a pair, or a sample text).

    Where EC2_ACCESS_ID and EC2_ACCESS_KEY stand together without a secret, the second is the secret.
    """
    spelled = {str(name).lower().removeprefix("aws_"): str(value) for name, value in credentials.items() if value}

    def pick(names: tuple[str, ...]) -> str:
        return next((spelled[word] for name in names if (word := name.lower().removeprefix("aws_")) in spelled), "")

    access, secret = pick(ACCESS), pick(SECRET)
    if "ec2_access_id" in spelled and not secret:
        secret = spelled.get("ec2_access_key", "")
    if bool(access) != bool(secret):
        missing = "secret key" if access else "access key"
        raise Denied(
            f"the {missing} is not set",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or EC2_ACCESS_KEY and EC2_SECRET_KEY) together",
        )
    if any(re.search(r"\S\s+\S", key) for key in (access, secret)):
        raise Denied(
            "the AWS keys are still the sample text of a manual: no key has a blank in it",
            hint="write your own EC2_ACCESS_KEY and EC2_SECRET_KEY, or leave them out for the environment or a profile",
        )
    return Secrets(access=access, secret=secret, token=pick(TOKEN) if access else "")


def place(name: str) -> tuple[str, str]:
    """Return region and zone of a location: `us-west-1a` is a zone of `us-west-1`; other words are regions."""
    name = name.strip()
    found = re.fullmatch(_REGION, name)
    if found is None:
        return name, ""
    return found[1], name if found[2] or found[3] else ""


def _regions(value: Any, home: str) -> tuple[str, ...]:
    """Return the regions of the setting, a list or text with commas; by default the home region alone."""
    if not value:
        return (home,) if home else ()
    listed = value if isinstance(value, list | tuple) else str(value).replace(",", " ").split()
    found = tuple(dict.fromkeys(place(str(each))[0] for each in listed if str(each).strip()))
    return (ALL,) if ALL in found else found


def _endpoints(value: Any, ec2: str) -> dict[str, str]:
    """Return URLs by service. Raises: Invalid."""
    given = {"ec2": ec2} if ec2 else {}
    if isinstance(value, Mapping):
        given |= {str(service): str(url) for service, url in value.items()}
    elif value:
        given = {"": str(value)}
    for service, url in given.items():
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(
                f"the endpoint{f' of {service}' if service else ''} is not a URL",
                hint="for instance http://127.0.0.1:5000, or {ec2: https://…, sts: https://…}",
            )
    return given


def _region_of(url: str) -> str:
    """Return the region in the name of one of Amazon's own hosts, or an empty string."""
    found = re.fullmatch(_HOST, urlsplit(url).hostname or "")
    if found is None:
        return ""
    return found[1] if re.fullmatch(_REGION, found[1]) else "us-east-1"


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(values[name]) for name in names if values.get(name)), "")
