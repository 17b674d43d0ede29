"""A password in the configuration reaches no other file, no screen and no process list, whatever its generation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudms.config import Config
from cloudms.doors.cli import main
from tests.house.source import SRC

HIDDEN = "hidden-"
"""What every secret of these files begins with."""

FAKE = """\
    pretend:
      cm: {kind: fake, active: true}
      boot_seconds: 0.3
      credentials: {password: hidden-fake, username: ada}
    local: {cm: {kind: libvirt, active: false}}
"""
GENERATIONS = {
    "v4": (
        "cloudmesh.yaml",
        f"""\
cloudmesh:
  version: 4.1
  data:
    mongo: {{MONGO_USERNAME: ada, MONGO_PASSWORD: hidden-mongo}}
  cloud:
{FAKE}    aws:
      cm: {{kind: aws, active: true}}
      credentials: {{EC2_ACCESS_ID: hidden-id, EC2_SECRET_KEY: hidden-secret, region: us-east-1}}
    campus:
      cm: {{kind: openstack, active: true}}
      credentials:
        auth: {{username: ada, password: hidden-nested, auth_url: "https://campus.example.org:5000/v3"}}
    blue:
      cm: {{kind: azure, active: true}}
      credentials: {{AZURE_TENANT_ID: t, AZURE_SECRET_KEY: hidden-azure}}
    lab:
      cm: {{kind: libvirt, active: true}}
      uri: qemu+tcp://ada:hidden-uri@127.0.0.1:9/system
""",
    ),
    "cm4": (
        "cloudmesh4.yaml",
        f"""\
cloudmesh:
  cloud:
{FAKE}    kilo:
      cm: {{kind: vm}}
      kind: openstack
      credentials: {{OS_USERNAME: ada, OS_PASSWORD: hidden-flat, OS_AUTH_URL: "https://kilo.example.org:5000"}}
""",
    ),
    "client": (
        "cloudmesh.yaml",
        f"""\
cloudmesh:
  active: [pretend, kilo]
  clouds:
{FAKE}    kilo:
      cm_type: openstack
      OS_PASSWORD: hidden-beside
      credentials: {{OS_USERNAME: ada, OS_TENANT_NAME: x}}
    india:
      cm_type: ec2
      credentials: {{EC2_ACCESS_KEY: hidden-ec2, EC2_SECRET_KEY: hidden-ec2s, keyname: mine}}
""",
    ),
    "aws-2017": (
        "cloudmesh.yaml",
        """\
cloudmesh:
   clouds:
    aws:
        credentials:
        EC2_ACCESS_KEY: 'hidden-access'
        EC2_SECRET_KEY: 'hidden-key'
        . . .
   default:
    image: 'IMAGE ID'
   location: 'LOCATION'
""",
    ),
    "references": (
        "cloudmesh.yaml",
        f"""\
cloudmesh:
  cloud:
{FAKE.replace("hidden-fake", "env:LAB_PASSWORD")}    campus:
      cm: {{kind: openstack, active: true}}
      credentials: {{OS_USERNAME: ada, OS_PASSWORD: "file:~/password", OS_AUTH_URL: $LAB_URL}}
""",
    ),
}
"""Generation → name of its file, and what it says."""

COMMANDS = (
    "config cat",
    "config cat -o json",
    "config cat -o yaml",
    "config check -o json",
    "config get cloud -o json",
    "config get clouds -o yaml",
    "config get cloud.aws.credentials.EC2_SECRET_KEY",
    "config get clouds.kilo.OS_PASSWORD",
    "config get cloud.pretend.credentials.password",
    "config get cloud.lab.uri",
    "config set cloud.pretend.default.image=debian",
    "set image=micro",
    "default -o json",
    "default cloud.pretend.credentials.password",
    "cloud list -o json",
    "cloud check --debug",
    "cloud check -o json",
    "doctor -o json",
    "vm list --debug -o json",
    "vm boot micro --cloud pretend --name web1 --dry-run -o json",
    "vm boot micro --cloud pretend --name web1 --debug",
    "vm info web1 --cloud pretend -o json",
    "ssh web1 --cloud pretend -- uptime",
    "operation show op-1 -o json",
    "event list -o json",
    "__complete bash config get ''",
    "vm lits",
)


@pytest.fixture(params=GENERATIONS)
def secrets(request: pytest.FixtureRequest, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a generation's file where a person has it, and return the file."""
    name, text = GENERATIONS[request.param]
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    (own_home / "password").write_text("hidden-file\n")
    (own_home / "password").chmod(0o600)
    monkeypatch.setenv("LAB_PASSWORD", "hidden-variable")
    monkeypatch.setenv("LAB_URL", "https://ada:hidden-url@campus.example.org:5000")
    monkeypatch.chdir(own_home)
    return file


def test_they_reach_no_screen_and_no_other_file(secrets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in COMMANDS:
        code = main(words.split())
        told = capfd.readouterr()
        assert HIDDEN not in told.out + told.err, words
        assert "this is a bug" not in told.err, (words, told.err)
        assert code in (0, 2, 3, 6, 9, 12), (words, told.err)
    leaks = [
        str(file.relative_to(secrets.parent))
        for file in secrets.parent.rglob("*")
        if file.is_file() and file != secrets and HIDDEN.encode() in file.read_bytes()
    ]
    assert not leaks


def test_they_were_there(secrets: Path) -> None:
    """The other tests look for something that a cloud really gets."""
    revealed = [value for cloud in Config().clouds() for value in cloud.reveal().values()]
    assert any(str(value).startswith(HIDDEN) or HIDDEN in str(value) for value in revealed)


def test_they_stand_in_no_process_list(secrets: Path) -> None:
    words = ["vm", "boot", "micro", "--cloud", "pretend", "--name", "web1"]
    if "pretend" not in Config().by_name():
        words = ["cloud", "check"]
    seen = 0
    with subprocess.Popen(
        [sys.executable, "-m", "cloudms", *words],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            for line in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = line.read_bytes()
                except OSError:
                    continue
                seen += b"cloudms" in text
                assert HIDDEN.encode() not in text
    assert seen


def test_what_they_are_kept_in_is_for_their_owner_alone(secrets: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["vm", "boot", "micro", "--cloud", "fake", "--name", "web1"])
    main(["config", "set", "cloud.fake.default.image=micro"])
    main(["set", "image=micro"])
    capfd.readouterr()
    loose = [
        f"{file.relative_to(secrets.parent)} {file.stat().st_mode & 0o777:o}"
        for file in secrets.parent.rglob("*")
        if file.suffix in (".sqlite", ".yaml") or file.name in ("cloudms", "settings.json", "known_hosts")
        if file.stat().st_mode & 0o077
    ]
    assert not loose
    assert secrets.parent.stat().st_mode & 0o077 == 0
