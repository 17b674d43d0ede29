"""Key pairs of AWS as keys: types, fingerprints of both kinds, and whether two are the same."""

from __future__ import annotations

from typing import Any

import pytest

from cloudms.clouds.aws.keys import checked, is_same, md5_of_import, shown_fingerprint
from cloudms.clouds.sshkeys import blob_of
from cloudms.errors import Invalid

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPloJnesMh7Fwuf18Nupo+wV7mwDgqEeglvdT4pWLyqs"
RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDuaGG+FaQo+tVdbOO+13W8uEmiP9Knwxxg/ppSDqGeqdhVDX573U7jcSOMCszBsznABnCb4VvB"
    "YUQzn41NuLxmdfegO6u8nppZB+o7lp5168Euei/Yp1jHKCnZFG887ZId/Iswe3TZNiFgQVRyjxW829omlaXL6x4HIlzXnRY2xp6MzWI1eu9cRAJt"
    "AWH2lGGHkUoG30b1zRzlp3j8nBALhyK72gqmk86dzurROEDpaTRs3uDmAEhPgLI0ROQllpYqw2+1x3hqVU5xw7XK93fbgLO8JYycovisgW73lthf"
    "iM907R51tXnkT0t6AJiMDL5p9b+5975DofcNuJpNVpjh"
)
ED_SHA = "SHA256:RNhRGwgs1gZAFDS51qTRYH1ZjvMXb85hdtLAZXNQ0Wk"
RSA_SHA = "SHA256:fao2YMyMtfzoEOL+V5ttBC4Q+qtQmwxtbIm3o5RnV44"
RSA_MD5 = "56:6d:bb:11:c7:66:9d:4b:cf:5b:b1:d7:fb:c9:71:dd"
"""As `ssh-keygen -l` and `openssl md5 -c` of the key in DER tell them."""


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"PublicKey": f"{ED} ed@lab\n", "KeyFingerprint": "whatever"}, ED_SHA),
        ({"PublicKey": RSA, "KeyType": "rsa", "KeyFingerprint": RSA_MD5}, RSA_SHA),
        ({"KeyType": "ed25519", "KeyFingerprint": f"{ED_SHA[7:]}="}, ED_SHA),
        ({"KeyType": "rsa", "KeyFingerprint": RSA_MD5}, RSA_MD5),
        ({"PublicKey": "ssh-rsa !", "KeyFingerprint": "1f:51"}, "1f:51"),
        ({}, ""),
    ],
)
def test_the_fingerprint_is_that_of_openssh_where_it_can_be_computed(row: dict[str, Any], shown: str) -> None:
    assert shown_fingerprint(row) == shown


@pytest.mark.parametrize(
    ("row", "line", "same"),
    [
        ({"PublicKey": f"{ED} another comment"}, f"{ED} ed@lab", True),
        ({"PublicKey": ED}, RSA, False),
        ({"KeyFingerprint": f"{ED_SHA[7:]}="}, ED, True),
        ({"KeyFingerprint": RSA_MD5}, RSA, True),
        ({"KeyFingerprint": RSA_MD5}, ED, False),
        ({"KeyFingerprint": ""}, ED, False),
    ],
)
def test_keys_are_compared_by_what_aws_tells(row: dict[str, Any], line: str, same: bool) -> None:
    assert is_same(row, line) is same


def test_the_md5_is_that_of_the_key_in_der() -> None:
    assert md5_of_import("ssh-rsa", blob_of(RSA.split()[1])) == RSA_MD5
    assert md5_of_import("ssh-ed25519", blob_of(ED.split()[1])) == ""


def test_a_key_becomes_one_line() -> None:
    assert checked(f"  {ED}\t ada  at lab \n") == f"{ED} ada at lab"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a public key"),
        ("ssh-ed25519", "not a public key"),
        ("ssh-ed25519 ????", "not a public key"),
        (ED.replace("ssh-ed25519", "ssh-rsa"), "not a public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "not a public key"),
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= me", "no keys of type ecdsa"),
    ],
)
def test_what_aws_does_not_keep_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        checked(text)
