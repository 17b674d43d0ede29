"""The part of cloud-config that a small machine needs, applied once, at the first boot.

Run by firstboot as root: `cloud_config.py USER-DATA [ROOT]`. Known are hostname, fqdn, bootcmd, write_files, users,
ssh_authorized_keys and runcmd, with cloud-init's meaning (https://docs.cloud-init.io, "Module reference"); every other
key is named on the console and left alone. Scripts, boothooks and MIME archives of all these are known, too. Ends with
0, with 1 when something failed, with 2 when the data is of a kind this machine does not know.
"""

from __future__ import annotations

import base64
import email
import gzip
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

DEFAULT_USER = "cms"
UNKNOWN_KIND = 2
_QUIET = {
    "preserve_hostname",
    "manage_etc_hosts",
    "disable_root",
    "output",
    "final_message",
    "growpart",
    "resize_rootfs",
}


class Failed(Exception):
    """Part of the user-data cannot be applied; the text says which."""


class Guest:
    """The machine below `root`; `chown(path, uid, gid)` can be replaced where nobody is root."""

    def __init__(
        self, root: Path, chown: Callable[[Path, int, int], None] = os.chown, console: Path | None = None
    ) -> None:
        self.root = root
        self.chown = chown
        self.console = console
        self.failed = False

    def path(self, name: str) -> Path:
        """Return the place of an absolute path of the machine."""
        return self.root / name.lstrip("/")

    def say(self, text: str) -> None:
        """Write a line to the log, which is standard output, and to the console."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        if self.console is not None:
            with self.console.open("a") as stream:
                stream.write(f"cms: {text}\n")

    def write(self, name: str, content: bytes, mode: int, uid: int = 0, gid: int = 0, *, append: bool = False) -> None:
        """Write a file with its final mode from the start, its parents included."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
        with os.fdopen(os.open(target, flags, mode), "wb") as stream:
            stream.write(content)
        target.chmod(mode)
        self.chown(target, uid, gid)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file, none when it is missing."""
        target = self.path(name)
        return target.read_text().splitlines() if target.exists() else []

    def add_line(self, name: str, line: str, mode: int = 0o644) -> None:
        """Append a line to a file unless it is there."""
        lines = self.lines(name)
        if line not in lines:
            self.path(name).unlink(missing_ok=True)
            self.write(name, "".join(f"{x}\n" for x in [*lines, line]).encode(), mode)

    def account(self, name: str) -> list[str] | None:
        """Return the fields of a user in /etc/passwd, or None."""
        return next((x.split(":") for x in self.lines("/etc/passwd") if x.split(":")[0] == name), None)

    def group_id(self, name: str) -> int | None:
        """Return a group's number, or None."""
        return next((int(x.split(":")[2]) for x in self.lines("/etc/group") if x.split(":")[0] == name), None)

    def owner(self, text: str) -> tuple[int, int]:
        """Return the numbers of "user:group" or "user"."""
        user, _, group = text.partition(":")
        account = self.account(user)
        uid = int(user) if user.isdigit() else int(account[2]) if account else None
        gid = int(group) if group.isdigit() else self.group_id(group or user)
        if uid is None or gid is None:
            raise Failed(f"no such owner: {text}")
        return uid, gid

    def shell(self, script: str, label: str) -> None:
        """Run a script from / and note when it fails."""
        place = self.path(f"/var/lib/cloud/instance/scripts/{label}")
        self.write(f"/var/lib/cloud/instance/scripts/{label}", script.encode(), 0o700)
        self.execute(place, label)

    def boothook(self, script: str) -> None:
        """Keep a script that runs at every boot, and run it for this one."""
        folder = "/var/lib/cloud/instance/boothooks"
        number = len(list(self.path(folder).glob("part-*"))) + 1
        name = f"{folder}/part-{number:03}"
        self.write(name, script.split("\n", 1)[-1].lstrip().encode(), 0o700)
        self.execute(self.path(name), "boothook")

    def execute(self, place: Path, label: str) -> None:
        """Run a file from / and note when it fails."""
        done = subprocess.run([str(place)], cwd=self.root, check=False)
        if done.returncode != 0:
            self.failed = True
            self.say(f"{label} ended with {done.returncode}")


def set_hostname(guest: Guest, value: Any, name: str) -> None:
    """Set the short name; `fqdn` also becomes an alias in /etc/hosts."""
    short = str(value).split(".")[0]
    guest.write("/etc/hostname", f"{short}\n".encode(), 0o644)
    names = f"{value} {short}" if name == "fqdn" and str(value) != short else short
    kept = [line for line in guest.lines("/etc/hosts") if not line.startswith("127.0.1.1")]
    guest.write("/etc/hosts", "".join(f"{line}\n" for line in [*kept, f"127.0.1.1 {names}"]).encode(), 0o644)
    if guest.root == Path("/"):
        subprocess.run(["/usr/bin/hostname", short], check=False)


def run_commands(guest: Guest, value: Any, name: str) -> None:
    """Run a list as one shell script, as cloud-init does: text is a shell line, a list is one command's words."""
    if not isinstance(value, list):
        raise Failed(f"{name} must be a list")
    lines = [
        " ".join(shlex.quote(str(word)) for word in item) if isinstance(item, list) else str(item) for item in value
    ]
    guest.shell("#!/bin/sh\n" + "".join(f"{line}\n" for line in lines), name)


def write_files(guest: Guest, value: Any, name: str) -> None:
    """Write each file with its encoding, permissions and owner."""
    for entry in _dicts(value, name):
        content = decode(entry.get("content", ""), str(entry.get("encoding", "")))
        mode = _mode(entry.get("permissions", 0o644))
        uid, gid = guest.owner(str(entry.get("owner", "root:root")))
        guest.write(str(entry["path"]), content, mode, uid, gid, append=bool(entry.get("append", False)))


def decode(content: Any, encoding: str) -> bytes:
    """Return the bytes of a file's content: gzip, base64, both (base64 outside) or text."""
    data = content if isinstance(content, bytes) else str(content).encode()
    kind = encoding.lower().replace("gzip", "gz").replace("base64", "b64")
    if kind not in ("", "text/plain", "gz", "b64", "gz+b64"):
        raise Failed(f"write_files: unknown encoding {encoding}")
    if kind.endswith("b64"):
        data = base64.b64decode(data)
    return gzip.decompress(data) if kind.startswith("gz") else data


def add_users(guest: Guest, value: Any, name: str) -> None:
    """Create each user that is missing, and set keys, groups and sudo rules of each."""
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if entry != "default":
            add_user(guest, {"name": entry} if isinstance(entry, str) else entry)


def add_user(guest: Guest, entry: dict[str, Any]) -> None:
    """Create one user from cloud-config's fields; passwords stay locked: this machine is entered by key."""
    name = str(entry["name"])
    if guest.account(name) is None:
        _create_user(guest, name, entry)
    for group in _words(entry.get("groups", [])):
        join_group(guest, name, group)
    authorize(guest, name, _words(entry.get("ssh_authorized_keys", []), separator="\n"))
    rules = entry.get("sudo") or []
    for rule in [rules] if isinstance(rules, str) else rules:
        guest.add_line("/etc/sudoers.d/90-cloud-init-users", f"{name} {rule}", 0o440)
    known = {"name", "uid", "gecos", "homedir", "shell", "groups", "ssh_authorized_keys", "sudo", "lock_passwd"}
    for key in sorted(set(entry) - known - {"primary_group", "no_create_home", "system", "no_user_group"}):
        guest.say(f"cloud-config: users: {key} of {name} is ignored")


def _create_user(guest: Guest, name: str, entry: dict[str, Any]) -> None:
    taken = {int(line.split(":")[2]) for file in ("/etc/passwd", "/etc/group") for line in guest.lines(file)}
    uid = int(entry["uid"]) if "uid" in entry else next(n for n in range(1001, 60000) if n not in taken)
    group = str(entry.get("primary_group", name))
    if guest.group_id(group) is None:
        guest.add_line("/etc/group", f"{group}:x:{uid}:")
    gid = guest.group_id(group)
    home, shell = str(entry.get("homedir", f"/home/{name}")), str(entry.get("shell", "/bin/sh"))
    guest.add_line("/etc/passwd", f"{name}:x:{uid}:{gid}:{entry.get('gecos', '')}:{home}:{shell}")
    guest.add_line("/etc/shadow", f"{name}:*:19000:0:99999:7:::", 0o640)
    if not entry.get("no_create_home"):
        guest.path(home).mkdir(mode=0o750, parents=True, exist_ok=True)
        guest.chown(guest.path(home), uid, gid or uid)


def join_group(guest: Guest, user: str, group: str) -> None:
    """Make `user` a member of `group`, which is created when missing."""
    if guest.group_id(group) is None:
        taken = {int(line.split(":")[2]) for line in guest.lines("/etc/group")}
        guest.add_line("/etc/group", f"{group}:x:{next(n for n in range(1001, 60000) if n not in taken)}:")
    changed = []
    for line in guest.lines("/etc/group"):
        fields = line.split(":")
        if fields[0] == group and user not in fields[3].split(","):
            fields[3] = ",".join(filter(None, [*fields[3].split(","), user]))
        changed.append(":".join(fields))
    guest.write("/etc/group", "".join(f"{line}\n" for line in changed).encode(), 0o644)


def authorize(guest: Guest, user: str, keys: list[str]) -> None:
    """Add public keys to a user's authorized_keys."""
    account = guest.account(user)
    if account is None or not keys:
        return
    uid, gid, folder = int(account[2]), int(account[3]), f"{account[5]}/.ssh"
    guest.path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    guest.chown(guest.path(folder), uid, gid)
    lines = guest.lines(f"{folder}/authorized_keys")
    lines += [key for key in keys if key not in lines]
    guest.write(f"{folder}/authorized_keys", "".join(f"{line}\n" for line in lines).encode(), 0o600, uid, gid)


def add_keys(guest: Guest, value: Any, name: str) -> None:
    """Let the keys into the login user's and root's account, as the keys of the seed are."""
    for user in (DEFAULT_USER, "root"):
        authorize(guest, user, _words(value, separator="\n"))


# In cloud-init's order: early commands, files, accounts, then the commands that may use them all.
MODULES: dict[str, Callable[[Guest, Any, str], None]] = {
    "bootcmd": run_commands,
    "hostname": set_hostname,
    "fqdn": set_hostname,
    "write_files": write_files,
    "users": add_users,
    "ssh_authorized_keys": add_keys,
    "runcmd": run_commands,
}


def apply(guest: Guest, text: str | bytes) -> None:
    """Apply one cloud-config document; a module that fails is named and the others still run."""
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Failed(f"cloud-config is not YAML: {' '.join(str(error).split())}") from error
    if config is None:
        return
    if not isinstance(config, dict):
        raise Failed("cloud-config is not a mapping")
    for key in config:
        if key not in MODULES and key not in _QUIET:
            guest.say(f"cloud-config: {key} is ignored")
    early, late = _split_deferred(config)
    for name, module in MODULES.items():
        if name in early:
            _guarded(guest, module, early[name], name)
        if name == "users" and late:
            _guarded(guest, write_files, late, "write_files")


def _split_deferred(config: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Take the files out that wait for the users who will own them (`defer: true`)."""
    files = config.get("write_files")
    if not isinstance(files, list):
        return config, []
    late = [entry for entry in files if isinstance(entry, dict) and entry.get("defer")]
    return {**config, "write_files": [entry for entry in files if entry not in late]}, late


def _guarded(guest: Guest, module: Callable[[Guest, Any, str], None], value: Any, name: str) -> None:
    try:
        module(guest, value, name)
    except (Failed, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        guest.failed = True
        guest.say(f"cloud-config: {name} failed: {type(error).__name__}: {error}")


def run(guest: Guest, data: bytes) -> int:
    """Apply user-data of any known kind and return the exit code."""
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    first = data.lstrip().split(b"\n", 1)[0].strip().lower()
    try:
        if first.startswith(b"#cloud-config"):
            apply(guest, data)
        elif first.startswith(b"#cloud-boothook"):
            guest.boothook(data.decode())
        elif first.startswith(b"#!"):
            guest.shell(data.decode(), "user-data")
        elif first.startswith((b"content-type:", b"mime-version:")):
            return _run_parts(guest, data)
        else:
            guest.say("user-data starts neither with #! nor with #cloud-config and is ignored")
            return UNKNOWN_KIND
    except (Failed, OSError, UnicodeDecodeError) as error:
        guest.say(f"user-data failed: {error}")
        return 1
    return 1 if guest.failed else 0


def _run_parts(guest: Guest, data: bytes) -> int:
    """Run each part of a MIME archive, as several tools that make user-data write it: boothooks first."""
    parts = [part.get_payload(decode=True) for part in email.message_from_bytes(data).walk() if not part.is_multipart()]
    contents = [part if isinstance(part, bytes) else b"" for part in parts]
    codes = [run(guest, content) for content in sorted(contents, key=lambda part: b"#cloud-boothook" not in part[:64])]
    return 1 if 1 in codes else max(codes, default=0)


def _dicts(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Failed(f"{name} must be a list of mappings")
    return value


def _words(value: Any, *, separator: str = ",") -> list[str]:
    items = value.split(separator) if isinstance(value, str) else [str(item) for item in value or []]
    return [item.strip() for item in items if item.strip()]


def _mode(value: Any) -> int:
    """Return a file mode from '0644' or from the number that YAML made of 0644."""
    return value if isinstance(value, int) else int(str(value).strip().removeprefix("0o"), 8)


def main(argv: list[str]) -> int:
    """Apply the file named on the command line to this machine."""
    root = Path(argv[2] if len(argv) > 2 else "/")
    console = Path("/dev/console") if root == Path("/") else None
    return run(Guest(root, console=console), Path(argv[1]).read_bytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
