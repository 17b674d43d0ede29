"""What jobs have written is brought here before their node goes: the folder /cluster of each node, merged in one place.

A file that is here already with the same content is the same file; one with another content is kept beside it under the
name of its node, so that nothing is ever written over. Everything is unpacked beside and moved, so a kill in the middle
leaves whole files only, and the next call brings the rest.
"""

from __future__ import annotations

import filecmp
import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cloudms import paths, ssh
from cloudms.cluster.conf import SHARED
from cloudms.errors import NotReady, Timeout
from cloudms.model import Vm

_LIMIT = 1800.0


def fetch_from(vm: Vm, target: Path, within: Sequence[str] = (".",)) -> list[Path]:
    """Bring the files of a node below `target` and return them; folders `within` /cluster narrow it.

    Raises: NotReady (it does not answer), Timeout.
    """
    return fetch(vm.name, ssh.command(vm), target, within, root=SHARED, as_root=True)


def fetch(
    name: str, argv: Sequence[str], target: Path, within: Sequence[str], *, root: str, as_root: bool = False
) -> list[Path]:
    """Bring files from where `argv` (an ssh command line) leads; those of `within` that are not there are passed over.

    Parameters: `root`, for the shell there, what `within` is below. Raises: NotReady, Timeout.
    """
    paths.private(target)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target) as folder:
        part, whole = Path(folder) / "part.tar", Path(folder) / "whole"
        wanted = " ".join(shlex.quote(place) for place in within)
        remote = f'cd {root} || exit; for place in {wanted}; do [ ! -e "$place" ] || set -- "$@" "$place"; done; '
        remote += '[ $# -eq 0 ] || exec tar -cf - "$@"'
        _pull(name, [*argv, of_root(remote) if as_root else f"sh -c {shlex.quote(remote)}"], part)
        if not part.stat().st_size:
            return []
        try:
            with tarfile.open(part) as archive:
                archive.extractall(whole, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise NotReady(f"{name}: its files came broken: {error}", hint="try again") from None
        return [merge(file, target / file.relative_to(whole), name) for file in _files(whole)]


def of_root(script: str) -> str:
    """Return the line for a shell elsewhere that runs a script as root."""
    quoted = shlex.quote(script)
    return f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; else exec sudo -n sh -c {quoted}; fi'


def _pull(name: str, argv: Sequence[str], part: Path) -> None:
    with part.open("wb") as stream:
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE, timeout=_LIMIT, check=False,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Timeout(f"{name}: its files did not come within {_LIMIT:g} s", hint=f"cms ssh {name}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        raise NotReady(f"{name}: its files could not be fetched: {said[-1] if said else 'no reason given'}")


def _files(whole: Path) -> Iterator[Path]:
    """Yield what is to be moved: files and links, and folders that are empty."""
    for root, folders, names in os.walk(whole):
        here = Path(root)
        yield from (here / name for name in sorted(names))
        yield from (here / name for name in sorted(folders) if (here / name).is_symlink())


def merge(file: Path, target: Path, node: str) -> Path:
    """Move a file to its place, or, where another one is, beside it; return where it is now."""
    for number in range(100):
        place = target if not number else target.with_name(f"{target.name}~{node}{f'-{number}' if number > 1 else ''}")
        if _same(file, place):
            return place
        if not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, place)
            return place
    raise NotReady(f"{target} is there a hundred times", hint=f"clear {target.parent}")


def _same(file: Path, place: Path) -> bool:
    if file.is_symlink() or place.is_symlink():
        return file.is_symlink() and place.is_symlink() and file.readlink() == place.readlink()
    return place.is_file() and filecmp.cmp(file, place, shallow=False)
