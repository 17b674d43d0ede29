"""The key pair of a new VM: one of the account with the same public key, else ours, imported under a name of its own.

EC2 takes RSA and ED25519 keys (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html); further keys
and those of other kinds come to the guest with its first-boot data.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.core import Core
from cloudms.clouds.aws.errors import code_of
from cloudms.clouds.sshkeys import pair_name, same
from cloudms.errors import Exists, Invalid, NotFound

KINDS = ("ssh-ed25519", "ssh-rsa")
WINDOWS_KINDS = ("ssh-rsa",)
"""Kinds of keys that EC2 takes for Windows: it encrypts the password with them."""
_REFUSED = ("InvalidKey.Format", "InvalidKeyPair.Format")
"""A key of a kind that is taken, but not of this length."""


class KeyPairs(Core):
    """The key pair that RunInstances names."""

    def key_pair(
        self, region: str, keys: Sequence[str], name: str, owner: str, kinds: Sequence[str] = KINDS
    ) -> tuple[str, tuple[str, ...]]:
        """Return the name of the key pair (empty: none is possible) and the keys that it does not hold.

        Parameters: `keys`, public keys in OpenSSH's format; `name`, how the person calls the first; `kinds`, of which
        one can be a key pair.
        Raises: NotFound (a name without a key that the account does not have), Denied.
        """
        if not keys:
            return (self._named(region, name) if name else ""), ()
        chosen = next((key for key in keys if key.split()[:1] and key.split()[0] in kinds), "")
        rest = tuple(key for key in keys if key != chosen)
        try:
            return (self._held(region, chosen, name, owner) if chosen else ""), rest
        except Invalid as error:
            if code_of(error) not in _REFUSED:
                raise
            return "", tuple(keys)

    def _named(self, region: str, name: str) -> str:
        wanted = tags.filters(key_name=name)
        if not self.link.call("describe_key_pairs", region, Filters=wanted).get("KeyPairs"):
            raise NotFound(f"there is no key pair '{name}' in {region}", hint="cms key list")
        return name

    def _held(self, region: str, public: str, name: str, owner: str) -> str:
        """Return the name of the key pair with this public key, imported when the account has none of ours."""
        ours = pair_name(name, public)
        names = list(dict.fromkeys(filter(None, (name, ours))))
        reply = self.link.call(
            "describe_key_pairs", region, Filters=tags.filters(key_name=names), IncludePublicKey=True
        )
        for row in reply.get("KeyPairs") or ():
            known = str(row.get("PublicKey") or "")
            if (known and same(known, public)) or (row.get("KeyName") == ours and not known):
                return str(row["KeyName"])
        return self._import(region, ours, public, owner)

    def _import(self, region: str, name: str, public: str, owner: str) -> str:
        mark = tags.specification(["key-pair"], {notes.OWNER: owner, tags.NAME: name})
        try:
            self.link.call(
                "import_key_pair", region, KeyName=name, PublicKeyMaterial=public.encode(), TagSpecifications=mark
            )
        except Exists:
            return name  # another process was faster, and the name says which key it is
        return name
