"""Public SSH keys as clouds keep them: read, compared, named and shown by their fingerprint."""

from __future__ import annotations

import re

from cloudms.errors import Invalid


def line_of(public: str) -> str:
    """Return a public key in OpenSSH's format as one line. Raises: Invalid."""
    words = public.split(None, 2)
    if len(words) < 2 or blob_of(words[1])[4 : 4 + len(words[0])] != words[0].encode():
        raise Invalid("this is not a public key in OpenSSH's format", hint="give the content of a .pub file")
    return " ".join(public.split())


def same(one: str, other: str) -> bool:
    """Whether two public keys are the same, whatever their comments say."""
    return one.split()[:2] == other.split()[:2]


def blob_of(encoded: str) -> bytes:
    """Return the bytes of the middle part of a public key, none when it is damaged."""
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(encoded, strict_mode=True)
    except (Error, ValueError):
        return b""


def sha256(blob: bytes) -> str:
    """Return the fingerprint of a key without its prefix."""
    from binascii import b2a_base64
    from hashlib import sha256 as digest

    return b2a_base64(digest(blob).digest(), newline=False).decode().rstrip("=")


def pair_name(name: str, public: str, odd: str = r"[^A-Za-z0-9_.-]") -> str:
    """Return the name that a public key gets on a cloud: how the person calls it, and its fingerprint.

    Parameters: `odd`, a pattern of the signs that the cloud does not take in names.
    """
    import base64
    import hashlib

    words = public.split()
    try:
        blob = base64.b64decode(words[1]) if len(words) > 1 else public.encode()
    except ValueError:
        blob = public.encode()
    word = re.sub(odd, "-", name)[:200] or "key"
    return f"cms-{word}-{hashlib.sha256(blob).hexdigest()[:12]}"
