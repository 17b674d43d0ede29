"""Keys: cloudms' own identity, made once on this machine, and the public keys that a new VM lets in."""

from __future__ import annotations

from pathlib import Path

from cloudms import paths
from cloudms.context import Context, not_found
from cloudms.errors import Invalid, Unsupported
from cloudms.model import Key
from cloudms.record import Record

OWN = "cloudms"
"""The name of the key that is made at the first boot."""


class Identity(Record):
    """The public keys a VM lets in, the name of the first, and the private file that `cms ssh` uses (may be empty)."""

    public: tuple[str, ...]
    name: str
    private_path: str = ""


def identity(ctx: Context, name: str = "") -> Identity:
    """Return the identity for a boot: the named key, or cloudms' own with the person's usual keys beside it.

    Raises: NotFound.
    """
    if name and name != OWN:
        key = find(ctx, name)
        if key.private_path:
            return Identity(public=(key.public,), name=name, private_path=key.private_path)
        own = ensure_own(ctx)
        return Identity(public=(key.public, own.public), name=name, private_path=own.private_path)
    own = ensure_own(ctx)
    public = dict.fromkeys([own.public, *_personal(ctx)])
    return Identity(public=tuple(public), name=OWN, private_path=own.private_path)


def find(ctx: Context, name: str) -> Key:
    """Return a key of the catalog. Raises: NotFound."""
    stored = ctx.catalog.get("key", f"/{name}")
    if stored is None:
        known = [row.document["name"] for row in ctx.catalog.find("key")]
        raise not_found("key", name, known, f"cms key create {name}")
    return Key.from_document(stored.document)


def ensure_own(ctx: Context) -> Key:
    """Return cloudms' own key, made when it is missing."""
    stored = ctx.catalog.get("key", f"/{OWN}")
    if stored and Path(stored.document["private_path"]).exists():
        return Key.from_document(stored.document)
    import fcntl

    folder = paths.private(paths.keys())
    with (folder / f"{OWN}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        private = folder / OWN
        if not private.exists():
            generate(private, comment=OWN)
        key = from_public(OWN, Path(f"{private}.pub").read_text(), str(private), ctx.clock.now())
        ctx.catalog.put("key", {key.key: key.to_document()})
    return key


def generate(private: Path, *, comment: str) -> None:
    """Make an ed25519 key pair, the private half 0600, complete or not at all. Raises: Unsupported (no ssh-keygen)."""
    import subprocess

    unfinished = private.with_name(f".{private.name}.new")
    for leftover in (unfinished, Path(f"{unfinished}.pub")):
        leftover.unlink(missing_ok=True)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(unfinished)]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unsupported("the ssh-keygen command is missing", hint="apt-get install openssh-client") from None
    if done.returncode:
        raise Invalid(
            f"ssh-keygen failed: {done.stderr.strip().splitlines()[-1]}", hint=f"is {private.parent} writable?"
        )
    Path(f"{unfinished}.pub").replace(Path(f"{private}.pub"))
    unfinished.replace(private)


def from_public(name: str, text: str, private_path: str = "", created: float | None = None) -> Key:
    """Return the key of an OpenSSH public key line. Raises: Invalid."""
    words = text.strip().split(None, 2)
    if len(words) < 2 or "PRIVATE KEY" in text or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        raise Invalid("this is not a public key in OpenSSH's format", hint="give the .pub file, not the private one")
    return Key(
        name=name,
        id=name,
        type=words[0],
        fingerprint=fingerprint(words[1]),
        public=" ".join(words),
        comment=words[2] if len(words) > 2 else "",
        private_path=private_path,
        created=created,
    )


def fingerprint(encoded: str) -> str:
    """Return the SHA-256 fingerprint of a base64 key blob, as `ssh-keygen -l` shows it. Raises: Invalid."""
    import base64
    import binascii
    import hashlib

    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Invalid("the public key is damaged: its middle part is not base64", hint="copy the whole line") from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _personal(ctx: Context) -> list[str]:
    """Return the person's usual public keys, so that plain `ssh` works too."""
    places = [str(ctx.config.get("profile.publickey") or "")]
    places += [f"~/.ssh/{name}.pub" for name in ("id_ed25519", "id_ecdsa", "id_rsa")]
    found = []
    for place in places:
        file = Path(place).expanduser() if place else None
        if file and file.is_file():
            try:
                found.append(from_public(file.stem, file.read_text()).public)
            except (Invalid, OSError, UnicodeDecodeError):
                continue
    return found
