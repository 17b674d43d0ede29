"""Key pairs: public keys that EC2 keeps, one set in each region.

EC2 takes ed25519 and RSA (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-key-pairs.html). A key is put into
every region of the configuration, so that a boot anywhere finds it, and is listed once as long as the regions agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.describe import jsonable, seconds
from cloudms.clouds.aws.keypairs import KINDS
from cloudms.clouds.base import Keys
from cloudms.clouds.sshkeys import blob_of, line_of, sha256
from cloudms.errors import CloudmsError, Exists, Invalid, NotFound
from cloudms.model import Key

_NAMES = {"ed25519": "ssh-ed25519", "rsa": "ssh-rsa"}


class KeyKeeping(Core, Keys):
    """Keeping public keys."""

    def list_keys(self) -> Iterable[Key]:
        """Yield the key pairs of all regions, the home region's first; those that differ have their region as id."""
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        failed: CloudmsError | None = None
        try:
            for region, row in self.link.each_region(self._pairs_in):
                found.setdefault(str(row.get("KeyName")), []).append((region, row))
        except CloudmsError as error:
            failed = error
        for rows in found.values():
            yield from self._distinct(sorted(rows, key=lambda each: each[0] != self.link.region))
        if failed is not None:
            raise failed

    def _pairs_in(self, region: str, **narrow: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in self.link.pages("describe_key_pairs", "KeyPairs", region, IncludePublicKey=True, **narrow):
            yield region, row

    def _distinct(self, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Key]:
        """Yield the keys of one name that differ from each other."""
        seen: dict[str, Key] = {}
        for region, row in rows:
            key = self._key(row, region)
            if key.fingerprint not in seen:
                seen[key.fingerprint] = key if not seen else key.with_(id=f"{region}/{key.name}")
        yield from seen.values()

    def add_key(self, name: str, public: str) -> Key:
        """Store a public key in every region. Raises: Exists (the name has another), Invalid (no ed25519 or RSA)."""
        line = checked(public)
        added = [self._add(name, line, region) for region in self.link.regions]
        return added[0]

    def _add(self, name: str, line: str, region: str) -> Key:
        known = self._key_row(name, region)
        if known is None:
            mark: dict[str, Any] = {}
            if self.setup.owner:  # AWS refuses a list of tags that is empty
                mark["TagSpecifications"] = tags.specification(["key-pair"], {notes.OWNER: self.setup.owner})
            try:
                self.link.call("import_key_pair", region, KeyName=name, PublicKeyMaterial=line.encode(), **mark)
            except Exists:  # somebody was quicker
                known = self._key_row(name, region)
            else:
                known = self._key_row(name, region)
        if known is None:
            raise NotFound(f"the key '{name}' was taken away from {region} at once", hint="try again")
        if not is_same(known, line):
            raise Exists(
                f"cloud '{self.name}' has another key '{name}' in {region}",
                hint=f"choose another name, or: cms key delete {name} --cloud {self.name}",
            )
        return self._key(known, region)

    def _key_row(self, name: str, region: str) -> dict[str, Any] | None:
        narrow = tags.filters(key_name=name)
        return next((row for _region, row in self._pairs_in(region, Filters=narrow)), None)

    def delete_key(self, name: str) -> None:
        """Delete a key in every region; already gone is success."""
        for region in self.link.regions:
            try:
                self.link.call("delete_key_pair", region, KeyName=name)
            except NotFound:
                continue

    def _key(self, row: Mapping[str, Any], region: str) -> Key:
        """Return the noun of a key pair; AWS tells the public half unless it is an EC2 of one's own that cannot."""
        public = " ".join(str(row.get("PublicKey") or "").split())
        words = public.split(None, 2)
        name = str(row.get("KeyName"))
        return Key(
            name=name, cloud=self.name, id=name, region=region, public=public,
            type=words[0] if words else _NAMES.get(str(row.get("KeyType")), str(row.get("KeyType") or "")),
            fingerprint=shown_fingerprint(row), comment=words[2] if len(words) > 2 else "",
            labels=tags.labels(tags.plain(row.get("Tags") or ())), created=seconds(row.get("CreateTime")),
            fetched=self.clock.now(), raw=jsonable(row),
        )  # fmt: skip


def checked(public: str) -> str:
    """Return the one line of a public key that EC2 takes. Raises: Invalid."""
    line = line_of(public)
    kind = line.split(None, 1)[0]
    if kind not in KINDS:
        raise Invalid(f"AWS keeps no keys of type {kind}", hint="ed25519 or RSA: cms key create makes an ed25519 pair")
    return line


def is_same(row: Mapping[str, Any], line: str) -> bool:
    """Whether a key pair of AWS is this public key, by the public half or, where AWS tells none, its fingerprint."""
    told = str(row.get("PublicKey") or "").split()
    words = line.split()
    if len(told) > 1:
        return told[1] == words[1]
    fingerprint = str(row.get("KeyFingerprint") or "").removeprefix("SHA256:").rstrip("=")
    return bool(fingerprint) and fingerprint in (sha256(blob_of(words[1])), md5_of_import(words[0], blob_of(words[1])))


def shown_fingerprint(row: Mapping[str, Any]) -> str:
    """Return a fingerprint as `ssh-keygen -l` shows it where that can be computed, and else AWS's own."""
    told = str(row.get("PublicKey") or "").split()
    own = str(row.get("KeyFingerprint") or "")
    if len(told) > 1 and (blob := blob_of(told[1])):
        return f"SHA256:{sha256(blob)}"
    if row.get("KeyType") == "ed25519" and ":" not in own:
        return f"SHA256:{own.rstrip('=')}"
    return own


def md5_of_import(kind: str, blob: bytes) -> str:
    """Return the fingerprint that EC2 gives an imported RSA key: the MD5 of its SubjectPublicKeyInfo (RFC 3279)."""
    if kind != "ssh-rsa":
        return ""
    from hashlib import md5

    _kind, exponent, modulus = _strings(blob)[:3]
    numbers = _der(0x30, _der(0x02, modulus) + _der(0x02, exponent))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    digest = md5(_der(0x30, algorithm + _der(0x03, b"\0" + numbers)), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _strings(blob: bytes) -> list[bytes]:
    """Return the length-prefixed strings of a key blob (RFC 4253, section 6.6)."""
    found: list[bytes] = []
    at = 0
    while at + 4 <= len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        found.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return found + [b""] * (3 - len(found))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
