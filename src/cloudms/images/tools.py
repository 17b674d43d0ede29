"""Programs of the host that make images: found before work starts, run without a shell, failures in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloudms.errors import NotReady, Timeout

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # an ordinary user's PATH often lacks them, and mke2fs lives there

PACKAGES = {
    "apt-get": "apt",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "lz4": "lz4",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "qemu-img": "qemu-utils",
    "zstd": "zstd",
}


def find(program: str) -> str | None:
    """Return the path of `program`, also from the sbin folders, or None."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SBIN}")


def require(*programs: str, why: str) -> None:
    """Raise NotReady naming every missing program's Debian package at once."""
    missing = [program for program in programs if find(program) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(program, program) for program in missing}))
        raise NotReady(f"{why} needs {', '.join(missing)}", hint=f"sudo apt-get install {packages}")


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout: float = 1800.0,
) -> bytes:
    """Run a program and return what it printed.

    Parameters: `env` is added to the environment; `timeout` in seconds. NotReady when the program fails or is missing,
    with the last error line it printed; Timeout when it does not end.
    """
    program = find(str(argv[0])) or str(argv[0])
    full = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        done = subprocess.run(
            [program, *map(str, argv[1:])],
            env=full,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise NotReady(f"{argv[0]} is not installed", hint=_install_hint(str(argv[0]))) from None
    except subprocess.TimeoutExpired:
        raise Timeout(
            f"{argv[0]} did not end within {timeout:.0f} s", hint="try again when the machine is less busy"
        ) from None
    if done.returncode != 0:
        raise NotReady(
            f"{argv[0]} failed: {_last_line(done.stderr) or f'exit status {done.returncode}'}",
            hint="run it again; if it fails the same way the line above is what to look for",
            details={"program": str(argv[0]), "exit_status": done.returncode},
        )
    return done.stdout


def _install_hint(program: str) -> str:
    return f"sudo apt-get install {PACKAGES.get(program, program)}"


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "error", "Error"))]
    return (errors or lines or [""])[-1][:300]
