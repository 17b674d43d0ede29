"""Key pairs: public keys that Nova keeps for a user, one set in each region.

A key is put into every region in use, so that a boot anywhere finds it, and listed once as long as the regions agree.
Shape: https://docs.openstack.org/api-ref/compute/#keypairs-keypairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cloudms.clouds.base import Keys
from cloudms.clouds.openstack.core import Core
from cloudms.clouds.openstack.errors import unclear
from cloudms.clouds.sshkeys import blob_of, line_of, pair_name, same, sha256
from cloudms.errors import CloudmsError, Conflict, Exists, NotFound
from cloudms.model import Key

_ODD = r"[^A-Za-z0-9_-]"
"""Signs that Nova does not take in the name of a key pair (before microversion 2.92 no dot either)."""

Row = Mapping[str, Any]


class KeyPairs(Core, Keys):
    """Keeping public keys."""

    def list_keys(self) -> Iterable[Key]:
        """Yield the key pairs of all regions, the home region's first; those that differ have their region as id."""
        found: dict[str, list[tuple[str, Row]]] = {}
        failed: CloudmsError | None = None
        try:
            for region, row in self.link.each_region(self._pairs_in):
                found.setdefault(str(row.get("name")), []).append((region, row))
        except CloudmsError as error:
            failed = error
        for rows in found.values():
            yield from self._distinct_keys(sorted(rows, key=lambda each: each[0] != self.link.region))
        if failed is not None:
            raise failed

    def _pairs_in(self, region: str) -> Iterator[tuple[str, Row]]:
        for row in self.link.pages("compute", "/os-keypairs", "keypairs", region):
            yield region, row.get("keypair") or row

    def _distinct_keys(self, rows: Iterable[tuple[str, Row]]) -> Iterator[Key]:
        """Yield the keys of one name that differ from each other."""
        seen: dict[str, Key] = {}
        for region, row in rows:
            key = self._key_noun(row, region)
            if key.fingerprint not in seen:
                seen[key.fingerprint] = key if not seen else key.with_(id=f"{region}/{key.name}")
        yield from seen.values()

    def add_key(self, name: str, public: str) -> Key:
        """Store a public key in every region. Raises: Exists (the name has another), Invalid (no key, or its name)."""
        line = line_of(public)
        rows = [(region, self._held_pair(region, name, line)) for region in self.link.regions]
        for region, row in rows:
            if not same(str(row.get("public_key") or ""), line):
                raise Exists(
                    f"cloud '{self.name}' has another key '{name}' in {region}",
                    hint=f"choose another name, or: cms key delete {name} --cloud {self.name}",
                )
        return self._key_noun(rows[0][1], rows[0][0])

    def delete_key(self, name: str) -> None:
        """Delete a key in every region; already gone is success."""
        for region in self.link.regions:
            try:
                self.link.delete("compute", f"/os-keypairs/{quote(name, safe='')}", region)
            except NotFound:
                continue

    def key_pair(self, region: str, keys: Sequence[str], name: str) -> tuple[str, tuple[str, ...]]:
        """Return the name of the key pair of a new VM (empty: none) and the keys that it does not hold.

        It is the one of the user that is called `name` when that is the first of `keys`, else ours, imported under a
        name of its own.

        Parameters: `keys`, public keys in OpenSSH's format; `name`, how the person calls the first.
        Raises: NotFound (a name without a key that the user does not have).
        """
        if not keys:
            if name and self._pair_row(region, name) is None:
                raise NotFound(f"there is no key pair '{name}' in {region}", hint=f"cms key list --cloud {self.name}")
            return name, ()
        first, rest = keys[0], tuple(keys[1:])
        known = self._pair_row(region, name) if name else None
        if known is not None and same(str(known.get("public_key") or ""), first):
            return name, rest
        ours = pair_name(name, first, _ODD)
        self._held_pair(region, ours, first)
        return ours, rest

    def _held_pair(self, region: str, name: str, line: str) -> Row:
        """Return the key pair of that name, imported when there is none."""
        known = self._pair_row(region, name)
        if known is not None:
            return known
        body = {"keypair": {"name": name, "public_key": line}}
        try:
            row: Row = self.link.post("compute", "/os-keypairs", body, region).get("keypair") or {}
        except CloudmsError as error:
            if not isinstance(error, Conflict | Exists) and not unclear(error):
                raise
            known = self._pair_row(region, name)  # somebody was quicker, or the answer was lost
            if known is None:
                raise
            return known
        return row

    def _pair_row(self, region: str, name: str) -> Row | None:
        try:
            row: Row = self.link.get("compute", f"/os-keypairs/{quote(name, safe='')}", region).get("keypair") or {}
        except NotFound:
            return None
        return row or None

    def _key_noun(self, row: Row, region: str) -> Key:
        """Return the noun of a key pair, with the fingerprint that `ssh-keygen -l` shows."""
        public = " ".join(str(row.get("public_key") or "").split())
        words, name = public.split(None, 2), str(row.get("name"))
        blob = blob_of(words[1]) if len(words) > 1 else b""
        raw = {key: value for key, value in row.items() if key != "private_key"}
        return Key(
            name=name, cloud=self.name, id=name, region=region, public=public,
            type=words[0] if words else str(row.get("type") or ""),
            fingerprint=f"SHA256:{sha256(blob)}" if blob else str(row.get("fingerprint") or ""),
            comment=words[2] if len(words) > 2 else "", fetched=self.clock.now(), raw=raw,
        )  # fmt: skip
