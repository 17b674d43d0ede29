"""A PostgreSQL of a test's own on loopback, with a password; installed when a test wants it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.plates import free_port
from tests.live.slurm import install

LIMIT = 300.0
_BIN = "/usr/lib/postgresql"


def program(name: str) -> str | None:
    """Return the path of one of its programs, of the newest version that is there, or None."""
    found = sorted(Path(_BIN).glob(f"*/bin/{name}"), key=lambda file: int(file.parts[-3].partition(".")[0]))
    return str(found[-1]) if found else shutil.which(name)


def installed() -> str:
    """Install it where it is missing, and return why that cannot be done, or an empty string."""
    why = install(["postgresql"]) if program("postgres") is None else ""
    return why or ("" if program("postgres") else "postgresql brought no server")


@contextmanager
def running() -> Iterator[Server]:
    """Give a server that ends with the test."""
    folder = Path(tempfile.mkdtemp(prefix="cms-pg-", dir="/tmp"))
    try:
        server = Server(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Server:
    """One server; `url` is its address with the password, `bare` without."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(12)
        self.url = f"postgresql://plates:{self.password}@127.0.0.1:{self.port}/postgres"
        self.bare = f"postgresql://plates@127.0.0.1:{self.port}/postgres"
        self._data, self._folder = folder / "data", folder
        self._as: list[str] = []
        word = folder / "password"
        word.touch(mode=0o600)
        word.write_text(self.password)
        if os.geteuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam("postgres")
            for each in (folder, word):
                os.chown(each, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "-D", str(self._data), "-U", "plates", "-A", "scram-sha-256", f"--pwfile={word}", "-N")

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [*self._as, str(program(name)), *words], cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self._folder)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self._folder} -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(int(LIMIT)), "-l", log, "-o", settings, "start")

    def stop(self) -> None:
        """End it at once, as a crash would."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")
