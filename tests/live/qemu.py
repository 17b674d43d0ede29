"""A bare QEMU machine for tests of images: a seed disk, a forward on a loopback address, the console in a file.

No libvirt and no code of the drivers: what boots here proves the image and the guest protocol alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pycdlib

from cloudms.images.store import StoredImage

SSH_OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=5", "-o", "LogLevel=ERROR",
    "-o", "IdentitiesOnly=yes", "-F", "/dev/null",
)  # fmt: skip


def seed_iso(path: Path, files: dict[str, str | bytes]) -> Path:
    """Write a NoCloud seed: an ISO 9660 file system labelled cidata with Rock Ridge and Joliet names."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(sorted(files.items())):
        data = content.encode() if isinstance(content, str) else content
        iso.add_fp(BytesIO(data), len(data), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    iso.write(str(path))
    iso.close()
    return path


def meta_data(instance: str, hostname: str, *keys: str) -> str:
    """Return meta-data as the guest protocol has it."""
    lines = [
        f"instance-id: {instance}",
        f"local-hostname: {hostname}",
        "public-keys:",
        *(f'  - "{key}"' for key in keys),
    ]
    return "\n".join(lines) + "\n"


def make_key(folder: Path) -> Path:
    """Make a throw-away ed25519 key pair and return the private file."""
    key = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(key)], check=True)
    return key


class Machine:
    """One virtual machine from an image: `start`, `ssh`, `console`, `kill`; its disk is an overlay in `folder`."""

    def __init__(
        self, image: StoredImage, folder: Path, address: str, key: Path, *, disk_gib: int | None = None
    ) -> None:
        self.image, self.folder, self.address, self.key = image, folder, address, key
        self.process: subprocess.Popen[bytes] | None = None
        self.disk, self.seed, self.log = folder / "disk.qcow2", folder / "seed.iso", folder / "console.log"
        folder.mkdir(parents=True, exist_ok=True)
        size = [f"{disk_gib}G"] if disk_gib else []
        backing = ["-b", str(image.disk_path), "-F", image.format]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self.disk), *size], check=True)

    def start(
        self,
        files: dict[str, str | bytes],
        *,
        memory: int = 256,
        cache: str = "writeback",
        more: tuple[str, ...] = (),
        keep_log: bool = False,
    ) -> None:
        """Power on with a seed of `files`; the console goes to a fresh file."""
        seed_iso(self.seed, files)
        for name in ("monitor.sock", "agent.sock", *([] if keep_log else [self.log.name])):
            (self.folder / name).unlink(missing_ok=True)
        direct = [
            "-kernel",
            str(self.image.kernel_path),
            "-initrd",
            str(self.image.initrd_path),
            "-append",
            str(self.image.cmdline),
        ]
        argv = [
            "qemu-system-x86_64", "-M", "q35,accel=tcg", "-cpu", "max", "-m", str(memory), "-smp", "1,maxcpus=2",
            "-nodefaults", "-display", "none",
            "-chardev", f"file,id=console,path={self.log},append=on", "-serial", "chardev:console",
            "-monitor", f"unix:{self.folder}/monitor.sock,server=on,wait=off", *direct,
            "-drive", f"file={self.disk},if=virtio,format=qcow2,cache={cache}",
            "-drive", f"file={self.seed},if=virtio,format=raw,readonly=on",
            "-netdev", f"user,id=n0,hostfwd=tcp:{self.address}:2222-:22",
            "-device", "virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:00:00:05",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,path={self.folder}/agent.sock,server=on,wait=off,id=ga",
            "-device", "virtserialport,chardev=ga,name=org.qemu.guest_agent.0", "-device", "virtio-rng-pci", *more,
        ]  # fmt: skip
        with (self.folder / "qemu.err").open("wb") as errors:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=errors)

    def console(self) -> str:
        """Return what the console has shown since power on."""
        return self.log.read_text(errors="replace").replace("\r", "") if self.log.exists() else ""

    def wait_console(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """Wait until the console shows `pattern`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if match := re.search(pattern, self.console(), re.DOTALL | re.MULTILINE):
                return match
            assert self.process is not None and self.process.poll() is None, (self.folder / "qemu.err").read_text()
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} on the console:\n{self.console()[-3000:]}")

    def host_key(self, seconds: float = 120) -> str:
        """Return the host key the console announced ("ssh-ed25519 AAAA…")."""
        block = r"-----BEGIN SSH HOST KEY KEYS-----\n(.*?)-----END SSH HOST KEY KEYS-----"
        lines = self.wait_console(block, seconds)[1].splitlines()
        return next(" ".join(line.split()[:2]) for line in lines if line.startswith("ssh-ed25519 "))

    def ssh(self, command: str, *, user: str | None = None, stdin: bytes = b"", check: bool = True) -> str:
        """Run a command with the announced host key pinned, and return its output."""
        known = self.folder / "known_hosts"
        known.write_text(f"[{self.address}]:2222 {self.host_key()}\n")
        target = f"{user or self.image.login}@{self.address}"
        options = [
            *SSH_OPTIONS,
            "-o",
            f"UserKnownHostsFile={known}",
            "-o",
            "StrictHostKeyChecking=yes",
            "-i",
            str(self.key),
        ]
        done = subprocess.run(
            ["ssh", *options, "-p", "2222", target, command], input=stdin, capture_output=True, timeout=180
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()

    def wait_ssh(self, seconds: float = 120) -> float:
        """Wait until an authenticated command answers, and return the seconds it took."""
        began = time.monotonic()
        self.host_key(seconds)
        while time.monotonic() < began + seconds:
            patience = min(max(1.0, (time.monotonic() - began) / 4), 30.0)
            if _banner(self.address, patience) and self.ssh("echo ready", check=False).strip() == "ready":
                return time.monotonic() - began
            time.sleep(0.5)  # QEMU repeats every connection that nobody answers: many would keep a slow guest busy
        raise AssertionError(f"no SSH within {seconds} s:\n{self.console()[-3000:]}")

    def agent(self, command: str, **arguments: Any) -> Any:
        """Ask the guest agent and return its answer."""
        with self._channel("agent.sock") as channel:
            channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            with channel.makefile() as lines:
                return json.loads(lines.readline())["return"]

    def agent_only_sends(self, command: str) -> None:
        """Tell the guest agent something it does not answer."""
        with self._channel("agent.sock") as channel:
            channel.sendall(json.dumps({"execute": command}).encode() + b"\n")
            time.sleep(0.5)

    def monitor(self, command: str) -> str:
        """Give QEMU's monitor one command and return what it prints."""
        with self._channel("monitor.sock") as channel:
            read_prompt(channel)
            channel.sendall(command.encode() + b"\n")
            return read_prompt(channel)

    def _channel(self, name: str) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(30)
        for _ in range(100):
            with contextlib.suppress(OSError):
                channel.connect(str(self.folder / name))
                return channel
            time.sleep(0.05)
        channel.close()
        raise AssertionError(f"{name} is not there")

    def wait_off(self, seconds: float = 60) -> float:
        """Wait until the machine has powered itself off, and return the seconds it took."""
        began = time.monotonic()
        assert self.process is not None
        self.process.wait(seconds)
        return time.monotonic() - began

    def kill(self) -> None:
        """Pull the plug."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)


def read_prompt(channel: socket.socket) -> str:
    """Read what the monitor says up to its prompt."""
    said = b""
    while not said.endswith(b"(qemu) "):
        block = channel.recv(4096)
        if not block:
            break
        said += block
    return said.decode(errors="replace")


def _banner(address: str, patience: float) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 2222), timeout=1) as channel:
        channel.settimeout(patience)
        return channel.recv(8).startswith(b"SSH-")
    return False


@contextlib.contextmanager
def machine(image: StoredImage, folder: Path, address: str, **options: Any) -> Iterator[Machine]:
    """Give a machine with a key of its own, not started; it is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Machine(image, folder, address, make_key(folder), **options)
    try:
        yield made
    finally:
        made.kill()


def can_run() -> bool:
    """Return whether this host has what these tests need."""
    return (
        all(shutil.which(name) for name in ("qemu-system-x86_64", "qemu-img", "ssh", "ssh-keygen"))
        and os.name == "posix"
    )
