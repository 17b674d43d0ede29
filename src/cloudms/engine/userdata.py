"""First-boot data of VMs in the making: a 0600 copy each, so that a resume has it; gone when the VM is created."""

from __future__ import annotations

import re
from pathlib import Path

from cloudms import paths
from cloudms.errors import Invalid

_ASSIGNED = r"(?m)(^|[\s{,\"'-])([A-Za-z_][\w.-]*)([\"']?\s*[:=][ \t]*)(?=\S)(?![|>][ \t]*$)[^\n,}]+"
_PRIVATE_KEY = r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_LOGINS = r"(?m)(^[ \t]*(?:-[ \t]+)?(?:echo[ \t]+)?[\"']?[\w.-]+:)(?! |$|//)[^\s\"'|]+()"
_URL = r"(://[^/\s:@]+:)[^@\s]+(@)"


def keep(token: str, source: Path) -> None:
    """Copy the user data of a VM that is about to be created; a copy that is there is kept. Raises: Invalid."""
    copy = place(token)
    if copy.exists():
        return
    try:
        content = source.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot read {source}: {error.strerror}", hint="boot it again with --user-data") from None
    paths.private(copy.parent)
    unfinished = copy.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    unfinished.replace(copy)


def kept(token: str) -> str:
    """Return the user data of a VM in the making. Raises: Invalid."""
    try:
        return place(token).read_text()
    except OSError as error:
        raise Invalid(f"its user data is gone: {error.strerror}", hint="boot it again with --user-data") from None


def place(token: str) -> Path:
    """Return the file in which user data are kept."""
    return paths.home() / "user-data" / token


def shown(text: str) -> str:
    """Return first-boot data as a dry run shows them: with ****** in the place of what looks like a secret."""
    from cloudms.config.tree import is_secret_name

    def masked(found: re.Match[str]) -> str:
        hidden = is_secret_name(found[2]) or "passw" in found[2].lower()
        return f"{found[1]}{found[2]}{found[3]}******" if hidden else found[0]

    for pattern in (_PRIVATE_KEY, _LOGINS):
        text = re.sub(pattern, r"\1******\2", text)
    return re.sub(_ASSIGNED, masked, re.sub(_URL, r"\1******\2", text))


def drop(token: str) -> None:
    """Forget the user data of a VM; already gone is success."""
    if token:
        place(token).unlink(missing_ok=True)
