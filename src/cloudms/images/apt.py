"""Debian packages for an image: resolved and fetched by the host's apt into a folder of our own, without rights.

apt is told to use its own state, cache and sources, so nothing of the host changes; its configuration (proxies, login
data of a mirror) is the host's. Sources are the host's own Debian mirrors, else Debian's own servers.
"""

from __future__ import annotations

import fcntl
import io
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path

from cloudms.errors import NotReady
from cloudms.images import tools
from cloudms.images.tree import Tree

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FALLBACK = (
    ("http://ftp.debian.org/debian", ("", "-updates")),
    ("http://security.debian.org/debian-security", ("-security",)),
)

# Hooks of the host are for the host's packages; extra indexes (AppStream) are of no use here.
_CONF = """\
#clear APT::Default-Release;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets;
Acquire::IndexTargets::deb::Packages { MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages"; };
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
"""

# "Inst libc6 (2.36-9 Debian:12.4/stable [amd64])", as the simulation prints it
_INSTALL = re.compile(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One entry of apt's sources; `signed_by` is the keyring that signs it, "" for apt's own."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def stanza(self) -> str:
        """Return the entry in the deb822 format."""
        lines = [
            "Types: deb",
            f"URIs: {self.uri}",
            f"Suites: {' '.join(self.suites)}",
            f"Components: {' '.join(self.components)}",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Package:
    """A fetched Debian package."""

    name: str
    version: str
    path: Path


def debian_sources(suite: str, etc: Path = Path("/etc/apt"), keyring: Path = KEYRING) -> list[Source]:
    """Return where packages of the Debian release `suite` come from.

    The host's own Debian mirrors when it has any (for another release too: the mirror is kept, the release replaced),
    else Debian's own servers. NotReady when Debian's keys are missing.
    """
    found = [s for s in host_sources(etc) if "main" in s.components and _is_debian(s)]
    wanted = _for_suite(found, suite)
    if not any(suite in source.suites for source in wanted):
        wanted = [Source(uri, tuple(suite + end for end in ends), ("main",)) for uri, ends in _FALLBACK]
    if not keyring.exists():
        raise NotReady("Debian's archive keys are not installed", hint="sudo apt-get install debian-archive-keyring")
    return [Source(s.uri, s.suites, ("main",), s.signed_by or str(keyring)) for s in wanted]


def host_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Return every enabled binary source of the host, from both file formats."""
    parts = etc / "sources.list.d"
    lists = [etc / "sources.list", *sorted(parts.glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in _one_line(path.read_text(errors="replace"))]
    for path in sorted(parts.glob("*.sources")):
        found += _deb822(path.read_text(errors="replace"))
    return found


def fetch(packages: Sequence[str], *, arch: str, folder: Path, sources: Sequence[Source]) -> list[Package]:
    """Bring `packages` and all they depend on (no recommends) into `folder` and return them by name.

    `folder` keeps indexes and packages between calls; a second caller waits. NotReady when a mirror cannot be reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return _fetch(packages, folder, _prepare(folder, arch, sources))


def _fetch(packages: Sequence[str], folder: Path, options: list[str]) -> list[Package]:
    tools.run(["apt-get", *options, "-q", "update", "--error-on=any"], timeout=900)
    plan = tools.run(["apt-get", *options, "-q", "--simulate", "install", *packages]).decode()
    chosen = _INSTALL.findall(plan)
    tools.run(["apt-get", *options, "-q", "-y", "--download-only", "install", *packages], timeout=3600)
    tools.run(["apt-get", *options, "-q", "autoclean"])  # what the mirrors have replaced
    archives = folder / "cache" / "archives"
    return [
        Package(name, version, archives / f"{name}_{version.replace(':', '%3a')}_{built_for}.deb")
        for name, version, built_for in sorted(chosen)
    ]


def unpack(package: Package, tree: Tree, keep: Callable[[str], bool] = lambda path: True) -> None:
    """Put those files of a package into the tree that `keep(path)` wants; nothing of it is run."""
    data = tools.run(["dpkg-deb", "--fsys-tarfile", package.path])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        tree.add_tar(archive, keep)


def write_sources(sources: Sequence[Source], path: Path) -> None:
    """Write `sources` as a file of apt's deb822 format."""
    path.write_text("\n".join(source.stanza() for source in sources))


def release_time(folder: Path, suite: str) -> int:
    """Return when the fetched index of `suite` was made, in epoch seconds: the same for the same packages."""
    stamps = [0]
    for index in (folder / "lists").glob(f"*_dists_{suite}*_InRelease"):
        if match := re.search(r"^Date: (.+)$", index.read_text(errors="replace"), re.MULTILINE):
            stamps.append(int(parsedate_to_datetime(match[1]).timestamp()))
    return max(stamps)


def proxy_settings() -> list[str]:
    """Return the host's apt settings for reaching mirrors, as lines of apt.conf."""
    lines = tools.run(["apt-config", "dump"]).decode().splitlines()
    return [line for line in lines if re.match(r"Acquire::(http|https)::(\S+::)?Proxy(::\S+)? ", line)]


def reachable(source: Source) -> Source:
    """Return `source` as a virtual machine can use it: a mirror on this very host becomes Debian's own."""
    local = re.match(r"(file|copy|cdrom):|https?://(localhost|127\.|\[::1\])", source.uri) is not None
    uri = _FALLBACK["security" in source.uri][0]
    return replace(source, uri=uri) if local else source


def _prepare(folder: Path, arch: str, sources: Sequence[Source]) -> list[str]:
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").write_text("")
    write_sources(sources, folder / "debian.sources")
    (folder / "apt.conf").write_text(_CONF)
    places = {
        "Dir::State": folder,
        "Dir::State::status": folder / "status",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": folder / "debian.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
    }
    settings = (word for key, value in places.items() for word in ("-o", f"{key}={value}"))
    return ["-c", str(folder / "apt.conf"), *settings]


def _is_debian(source: Source) -> bool:
    """Tell Debian's own archive from others that name their suites alike."""
    if "debian-archive" in source.signed_by:
        return True
    return not source.signed_by and re.search(r"/debian(-security)?/*$", source.uri) is not None


def _for_suite(sources: Sequence[Source], suite: str) -> list[Source]:
    """Return `sources` for the release `suite`: those that have it, else the mirrors with the release replaced."""
    exact = [replace(source, suites=tuple(x for x in source.suites if _belongs(x, suite))) for source in sources]
    if not any(source.suites for source in exact):
        exact = [
            replace(source, suites=tuple(_move(x, suite) for x in source.suites if _is_stable(x))) for source in sources
        ]
    return [source for source in exact if source.suites]


def _move(name: str, suite: str) -> str:
    return re.sub(r"^[a-z]+", suite, name)


def _belongs(name: str, suite: str) -> bool:
    return name in (suite, f"{suite}-updates", f"{suite}-security")


def _is_stable(name: str) -> bool:
    """Tell a release's suite (trixie, trixie-updates) from those that have no counterpart in another release."""
    return re.fullmatch(r"(?!sid|unstable|experimental)[a-z]+(-updates|-security)?", name) is not None


def _one_line(text: str) -> list[Source]:
    """Read `deb [options] uri suite components…` lines."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
            found.append(Source(match[2], (match[3],), tuple(match[4].split()), options.get("signed-by", "")))
    return found


def _deb822(text: str) -> list[Source]:
    """Read paragraphs of `Key: value` lines, comments and continuation lines included."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        keys: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                keys[key] = f"{keys.get(key, '')}\n{line.strip()}"
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.lower()
                keys[key] = value.strip()
        found += _of_keys(keys)
    return found


def _of_keys(keys: dict[str, str]) -> list[Source]:
    if keys.get("enabled", "yes").lower() in ("no", "false") or "deb" not in keys.get("types", "").split():
        return []
    suites, components = tuple(keys.get("suites", "").split()), tuple(keys.get("components", "").split())
    signed_by = keys.get("signed-by", "")
    if "BEGIN PGP" in signed_by:  # a key written into the file itself: whose it is cannot be told from a name
        signed_by = "inline"
    return [Source(uri, suites, components, signed_by) for uri in keys.get("uris", "").split()]
