"""First-boot data of VMs in the making: a 0600 copy each, so that a resume has it; gone when the VM is created."""

from __future__ import annotations

from pathlib import Path

from cloudms import paths
from cloudms.errors import Invalid


def keep(token: str, source: Path) -> None:
    """Copy the user data of a VM that is about to be created; a copy that is there is kept. Raises: Invalid."""
    copy = _copy(token)
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
        return _copy(token).read_text()
    except OSError as error:
        raise Invalid(f"its user data is gone: {error.strerror}", hint="boot it again with --user-data") from None


def drop(token: str) -> None:
    """Forget the user data of a VM; already gone is success."""
    if token:
        _copy(token).unlink(missing_ok=True)


def _copy(token: str) -> Path:
    return paths.home() / "user-data" / token
