"""Where the credentials of a cloud come from: references, never values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cloudms import cloudsyaml
from cloudms.config.clouds import CloudSettings
from cloudms.config.known import ASKED, ELSEWHERE
from cloudms.config.secret import Secret, is_reference
from cloudms.config.tree import leaves
from cloudms.errors import Invalid

FIRST_REGION = "us-east-1"
HOW = "env, profile:NAME, cloud:NAME, file:PATH, keyring:SERVICE or ask"
_OPTIONS = {"profile": "aws", "cloud": "openstack"}
"""Ways that are a setting of their own, and the kind of cloud that has it."""


def origins(cloud: CloudSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return by name where each credential of a cloud is taken from; empty when nothing is known of any."""
    found: dict[str, str] = {}
    for path, value in leaves(dict(cloud.credentials)):
        reference = value.reference if isinstance(value, Secret) else ""
        found[".".join(path)] = reference or ("the configuration file" if value else "no value yet")
    if cloud.options.get("profile"):
        found["profile"] = f"profile '{cloud.options['profile']}' of {_shared_file(environ)}"
    if cloud.kind == "openstack" and cloud.options.get("cloud"):
        file = cloudsyaml.place(environ, str(cloud.options.get("clouds_yaml") or ""))
        found["cloud"] = f"cloud '{cloud.options['cloud']}' of {file or 'clouds.yaml, which is not there'}"
    return found or surroundings(cloud.kind, environ)


def surroundings(kind: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what this machine has for clouds of a kind without any configuration."""
    found = {name: "the environment" for name in ELSEWHERE.get(kind, ()) if environ.get(name)}
    if not found and kind == "aws" and Path(_shared_file(environ)).expanduser().exists():
        found["profile"] = f"profile 'default' of {_shared_file(environ)}"
    if not found and kind == "openstack" and (file := cloudsyaml.place(environ)):
        found["cloud"] = f"{file}, if it has one cloud or one of this name; else say cloud=NAME"
    return found


def _shared_file(environ: Mapping[str, str]) -> str:
    """Return the file of profiles (https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html)."""
    return environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"


def references(kind: str, how: str) -> dict[str, str]:
    """Return what the configuration says below a cloud for `--credentials HOW`, by dotted key.

    Parameters: `how`, env, profile:NAME, cloud:NAME, file:PATH or keyring:SERVICE. Raises: Invalid.
    """
    scheme, _, place = how.partition(":")
    names = asked(kind)
    if scheme == "env" and not place:
        return {f"credentials.{name}": f"env:{name}" for name in names}
    if place and _OPTIONS.get(scheme) == kind:
        return {scheme: place}
    if scheme == "file" and place:
        file = Path(place).expanduser().absolute()
        return {f"credentials.{name}": f"file:{file}#{name}" for name in names}
    if scheme == "keyring" and place:
        return {f"credentials.{name}": f"keyring:{place}/{name}" for name in names}
    raise Invalid(
        f"--credentials says where they are, and {_named(how)} does not",
        hint=f"{HOW}; secrets are not given in clear, since they would stand in your shell's history",
    )


def _named(how: str) -> str:
    """Return what was given, unless it may be a secret itself."""
    return f"'{how}'" if is_reference(how) or how.partition(":")[0] in ("env", *_OPTIONS) else "that"


def asked(kind: str) -> Sequence[str]:
    """Return the names of the secrets that clouds of a kind want. Raises: Invalid (they want none)."""
    if kind not in ASKED:
        raise Invalid(f"clouds of kind '{kind}' take no credentials here", hint="leave --credentials out")
    return ASKED[kind]


def aws_region(environ: Mapping[str, str], profile: str = "") -> str:
    """Return the region that AWS's own tools would take for a profile, or the first of them all."""
    said = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if said:
        return said
    import configparser

    found = configparser.ConfigParser(interpolation=None)
    try:
        found.read(Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser(), encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return FIRST_REGION
    name = profile or environ.get("AWS_PROFILE") or "default"
    section = name if name == "default" else f"profile {name}"
    return found.get(section, "region", fallback=FIRST_REGION)
