"""Many SSH hosts that are one real sshd: in a network namespace of its own every address 127.x.y.z is a host.

`python -m tests.live.sshd FOLDER PROGRAM [WORDS]` is run in the namespaces: it starts the sshd and runs the program,
with which everything ends that was begun there. sshd takes 16 ListenAddress at most: it listens at all (port 2222).
"""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PORT = 2222
SSHD = "/usr/sbin/sshd"
_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "install", "--no-install-recommends", "openssh-server")


def missing() -> str:
    """Return why there can be no such hosts here, after having installed what is missing; empty when there can."""
    if os.geteuid() != 0:
        return "only root can start sshd in a namespace"
    if not Path(SSHD).exists() and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(_APT, env=environment, capture_output=True, check=False, timeout=900)
    if not Path(SSHD).exists():
        return "openssh-server is not installed"
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False, timeout=60)
    return f"no namespace can be made: {tried.stderr.strip()}" if tried.returncode else ""


NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def words(folder: Path, *program: str) -> list[str]:
    """Return the command line that runs a Python program beside the hosts, files in `folder`."""
    return [*NAMESPACES, sys.executable, "-m", "tests.live.sshd", str(folder), *program]


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start sshd; the key of its host is `folder/host.pub`, and `folder/user` lets in."""
    for name in ("host", "user"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {PORT}\nListenAddress 0.0.0.0\nHostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nPermitRootLogin yes\n"
        # Many come at once; and a shell of bash would think that it is a login one, and read what a person has there.
        "MaxStartups 1000:30:2000\nSetEnv SHLVL=2\nLogLevel ERROR\n"
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with (folder / "sshd.log").open("ab") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
    deadline = time.monotonic() + 60
    while not _answers():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((folder / "sshd.log").read_text())
        time.sleep(0.02)
    return server


def _answers() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def address(number: int) -> str:
    """Return the address of a host: 127.1.x.y."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def broken(port: int, serve: Callable[[socket.socket], None]) -> None:
    """Listen at a port of every address and do something bad with each connection."""
    listener = socket.create_server(("0.0.0.0", port), backlog=100)  # noqa: S104 (the namespace has loopback only)

    def accept() -> None:
        while True:
            serve(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()


KEPT: list[socket.socket] = []


def hang(connection: socket.socket) -> None:
    """Say nothing."""
    KEPT.append(connection)


def reset(connection: socket.socket) -> None:
    """Break the connection after the banner of the client."""
    connection.recv(8)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def main() -> int:
    """Start the hosts, run the program and return its exit code."""
    folder, *program = sys.argv[1:]
    server = start(Path(folder))
    try:
        return subprocess.run([sys.executable, *program], check=False).returncode
    finally:
        server.terminate()


if __name__ == "__main__":
    sys.exit(main())
