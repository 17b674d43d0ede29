"""What each node gets once before its first task, as a script for `sh` that can be carried out again at any time.

It is found again by the digest of all that it depends on: a node that has it does nothing the second time, whichever
experiment asks. What is checked out, unpacked or sent stands in one folder, `$CMS_SETUP` for the tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from shlex import join, quote

from cloudms.jobs.pack import Parcel, digest_of
from cloudms.jobs.spec import Archive, Git, Setup

_HEAD = """set -e
here=$(cd .. && pwd)
{ echo "export CMS_SETUP='$here/work'"; echo "PATH='$here/venv/bin':\\$PATH"; echo 'export PATH'; } >../profile
. ../profile
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
has() { command -v "$1" >/dev/null 2>&1; }
wanted() {
    missing=
    for package in "$@"; do
        if has dpkg-query; then
            dpkg-query -W -f '${Status}' "${package%%=*}" 2>/dev/null | grep -q 'ok installed' ||
                missing="$missing $package"
        elif has apk; then
            apk info -e "$package" >/dev/null 2>&1 || missing="$missing $package"
        else
            missing="$missing $package"
        fi
    done
    [ "$missing" ] || return 0
    if has apt-get; then
        as_root apt-get -q -o DPkg::Lock::Timeout=600 update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \\
            -o DPkg::Lock::Timeout=600 install $missing
    elif has apk; then
        as_root apk add $missing
    else
        echo "this node has neither apt-get nor apk to install$missing" >&2
        exit 1
    fi
}
fetched() {
    if has curl; then curl -fsSL -o "$2" "$1"; elif has wget; then wget -q -O "$2" "$1"
    else python3 -c 'import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2])' "$1" "$2"; fi
}
unpacked() {
    mkdir -p "$2"
    case $3 in
        *.zip) if has unzip; then unzip -q -o "$1" -d "$2"; else python3 -m zipfile -e "$1" "$2"; fi ;;
        *) tar -xf "$1" -C "$2" ;;
    esac
}
"""
_PYTHON = """if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then wanted python3 python3-venv; fi
python3 -m venv --system-site-packages ../venv
../venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input -r ../requirements.txt
"""


def digest(setup: Setup) -> str:
    """Return what a set-up is found by on nodes, of all it depends on; empty when there is nothing to do."""
    if setup.empty:
        return ""
    known = setup.to_document()
    known["contents"] = [digest_of(Path(source)) for source in _sources(setup)]
    for part in ("files", "archives"):
        known[part] = [{**each, "source": _named(each["source"])} for each in known[part]]
    text = json.dumps([_HEAD, _PYTHON, known], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parcel(setup: Setup) -> Parcel:
    """Return what is sent to a node for its set-up: the script and the files that it needs."""
    sent = Parcel({"script": script(setup), "requirements.txt": "".join(f"{line}\n" for line in setup.requirements)})
    for each in setup.files:
        sent.add(f"files/{each.target}", Path(each.source))
    for number, archive in enumerate(setup.archives):
        if not _is_url(archive):
            sent.add(f"archives/{number}", Path(archive.source))
    return sent


def script(setup: Setup) -> str:
    """Return the script that sets a node up."""
    return _HEAD + "".join(f"{part}\n" for part in _parts(setup))


def _parts(setup: Setup) -> Iterator[str]:
    if setup.packages:
        yield f"echo installing {quote(' '.join(setup.packages))}; wanted {join(setup.packages)}"
    if setup.requirements:
        yield _PYTHON
    for each in setup.git:
        yield _cloned(each)
    for number, archive in enumerate(setup.archives):
        yield _unpacked(number, archive)
    if setup.files:
        yield "cp -R ../files/. ."
    for command in setup.commands:
        yield f"(\n{command}\n)"


def _cloned(git: Git) -> str:
    """Return the lines that check out a repository: the commit that is asked for alone, where its server gives it."""
    place, url, ref = quote(f"./{git.into}" if git.into else "."), quote(git.url), quote(git.ref or "HEAD")
    return f"""echo checking out {url}
has git || wanted git
mkdir -p {place}
git -C {place} init -q
if git -C {place} fetch -q --depth 1 {url} {ref}; then
    git -C {place} checkout -q -f FETCH_HEAD
else
    git -C {place} fetch -q {url} '+refs/*:refs/cms/*'
    git -C {place} checkout -q -f {ref}
fi"""


def _unpacked(number: int, archive: Archive) -> str:
    place = quote(f"./{archive.into}" if archive.into else ".")
    name = quote(archive.source)
    if not _is_url(archive):
        return f"unpacked ../archives/{number} {place} {name}"
    return f"mkdir -p ../archives; fetched {name} ../archives/{number}; unpacked ../archives/{number} {place} {name}"


def _is_url(archive: Archive) -> bool:
    return not archive.source.startswith("/")


def _sources(setup: Setup) -> list[str]:
    local = [each.source for each in setup.archives if not _is_url(each)]
    return [each.source for each in setup.files] + local


def _named(source: str) -> str:
    """Return a source without where it lies on this machine; its name tells how it is unpacked."""
    return Path(source).name if source.startswith("/") else source
