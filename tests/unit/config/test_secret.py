"""Secrets: hidden everywhere, revealed on request, found where a reference leads."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import sys
import types
from pathlib import Path

import pytest

from cloudms.config import Config, Secret
from cloudms.config.secret import follow, is_reference, revealed
from cloudms.config.tree import is_clear, is_placeholder, is_secret, is_secret_name, is_unset
from cloudms.errors import ConfigError, Denied


@pytest.fixture
def secret() -> Secret:
    return Secret(lambda: "s3cr3t")


def test_it_shows_a_mask_everywhere(secret: Secret, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("%s %r %s", secret, secret, {"a": secret})
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{secret:>10}", "".join(("", secret))]
    shown += [json.dumps({"a": secret}), json.dumps([secret], default=str), str([secret]), caplog.text, secret.shown()]
    assert all("s3cr3t" not in text and "******" in text for text in shown)
    assert secret.reveal() == "s3cr3t"


def test_it_is_not_pickled_and_not_copied(secret: Secret) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    assert copy.deepcopy({"a": secret})["a"] is secret
    with pytest.raises(AttributeError):
        _ = secret.__dict__


def test_unset_is_false() -> None:
    unset = Secret(lambda: None, is_set=False)
    assert not unset
    assert (unset.shown(), unset.reveal()) == ("TBD", "")
    assert Secret(lambda: "x")
    assert revealed({"a": unset, "b": Secret(lambda: "x"), "c": {"d": [Secret(lambda: "y")]}}) == {
        "b": "x",
        "c": {"d": ["y"]},
    }


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("from a file\n")
    file.chmod(0o600)
    assert follow("env:TOKEN", {"TOKEN": "from a variable"}) == "from a variable"
    assert follow(f"file:{file}", {}) == "from a file"
    assert follow("plain", {}) == "plain"
    assert follow("https://x:y", {}) == "https://x:y"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert follow("file:~/token", {}) == "from a file"


def test_one_file_may_hold_several_secrets(tmp_path: Path) -> None:
    file = tmp_path / "lab#1"
    file.write_text("[default]\naws_access_key_id = AK\nexport AWS_SECRET_ACCESS_KEY='s=c'\n# PASSWORD=no\n")
    file.chmod(0o600)
    assert follow(f"file:{file}#AWS_ACCESS_KEY_ID", {}) == "AK"
    assert follow(f"file:{file}#AWS_SECRET_ACCESS_KEY", {}) == "s=c"
    assert follow(f"file:{file}", {}).startswith("[default]\n")
    with pytest.raises(Denied, match="no line PASSWORD="):
        follow(f"file:{file}#PASSWORD", {})


def test_references_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe secret")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "lines").write_text("# of the lab\nUSER=ada\n")
    (tmp_path / "open").write_text("xxx")
    for name in ("binary", "large", "lines"):
        (tmp_path / name).chmod(0o600)
    (tmp_path / "open").chmod(0o644)
    for text, error, says in (
        ("env:NOPE", Denied, "NOPE has no value"),
        ("env:", ConfigError, "names nothing"),
        (f"file:{tmp_path}/none", Denied, "No such file"),
        (f"file:{tmp_path}", Denied, "Is a directory"),
        (f"file:{tmp_path}/binary", ConfigError, "not UTF-8"),
        (f"file:{tmp_path}/large", ConfigError, "larger than 64 KiB"),
        (f"file:{tmp_path}/open", Denied, "others may read .* 0644"),
        (f"file:{tmp_path}/lines#PASSWORD", Denied, "no line PASSWORD="),
        ("keyring:x", ConfigError, "whose secret"),
    ):
        with pytest.raises(error, match=says) as caught:
            follow(text, {})
        assert caught.value.hint
        assert "xxx" not in caught.value.message


def test_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyringError(Exception):
        pass

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise KeyringError("s3cr3t")
        return "from the keyring" if (service, user) == ("cloud/aws", "ada") else None

    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match="needs the package keyring") as missing:
        follow("keyring:cloud/aws/ada", {})
    assert missing.value.hint == "pip install keyring"
    fake = types.SimpleNamespace(get_password=get_password, errors=types.SimpleNamespace(KeyringError=KeyringError))
    monkeypatch.setitem(sys.modules, "keyring", fake)
    assert follow("keyring:cloud/aws/ada", {}) == "from the keyring"
    with pytest.raises(Denied, match="has nothing"):
        follow("keyring:cloud/aws/bob", {})
    with pytest.raises(Denied, match="cannot be opened: KeyringError") as locked:
        follow("keyring:locked/ada", {})
    assert "s3cr3t" not in locked.value.message


@pytest.mark.parametrize("text", ["env:A", "file:/x", "keyring:a/b"])
def test_is_reference(text: str) -> None:
    assert is_reference(text)


def test_is_no_reference() -> None:
    assert not any(map(is_reference, ("environment", "https://x", "", None, 5, "file")))


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "TBD", "tbd", "None", "xxxx", "xxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "xxxxxx.....", "TBD@sample.edu",
     "~/.cloudmesh/TBD", "TBD.us-east-2.rds.amazonaws.com", "TBD_not_used"],
)  # fmt: skip
def test_is_unset(value: object) -> None:
    assert is_unset(value)


@pytest.mark.parametrize("value", ["x", "xxx", "TBDay", "ami-TBD1", 0, False, "xxxxy", "nonesuch", "ACCESS KEY"])
def test_is_set(value: object) -> None:
    assert not is_unset(value)


def test_samples_of_the_manuals() -> None:
    assert all(map(is_placeholder, ("ACCESS KEY", "SECRET KEY", "IMAGE ID", "your access id", "your secret key")))
    assert not any(map(is_placeholder, ("AKID", "my house", "key", "", None, "IDENTITY")))


@pytest.mark.parametrize(
    "name",
    ["EC2_SECRET_KEY", "EC2_ACCESS_KEY", "password", "MONGO_PASSWORD", "client_secret", "api_key", "token",
     "auth_token", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "pass_phrase", "account_key", "private_key",
     "AZURE_STORAGE_KEY", "GOOGLE_STORAGE_SECRET", "clientSecret"],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert is_clear(("x", name), "value")
    assert not is_clear(("x", name), "TBD")
    assert not is_clear(("x", name), "env:X")


@pytest.mark.parametrize(
    "name", ["key", "publickey", "public_key", "SSH_PUBLIC_KEY", "username", "token_uri", "image", "key_path"]
)
def test_public_names(name: str) -> None:
    assert not is_secret_name(name)


def test_where_secrets_are() -> None:
    assert is_secret(("cloud", "aws", "credentials", "region"), "x")
    assert is_secret(("clouds", "aws", "EC2_ACCESS_ID"), "x")
    assert is_secret(("cloud", "x", "uri"), "qemu+ssh://root:pw@host/")
    assert is_secret(("x", "password", "0"), "a list of them")
    assert not is_secret(("cloud", "x", "uri"), "qemu+ssh://root@host:22/system")
    assert not is_secret(("cloud", "azure", "default", "AZURE_VM_NAME"), "x")
    assert is_secret(("cloud", "azure", "default", "AZURE_VM_PASSWORD"), "x")


FILE = """
cloudmesh:
  profile: {{user: ada}}
  cloud:
    aws:
      credentials:
        EC2_ACCESS_ID: $AKID
        EC2_SECRET_KEY: {secret}
        EC2_PRIVATE_KEY_FILE_PATH: ~/x.pem
      default:
        note: the key is {{cloudmesh.cloud.aws.credentials.EC2_SECRET_KEY}}
"""


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("'plain'", "plain"),
        ("'a$HOME ~ {cloudmesh.profile.user}'", "a$HOME ~ {cloudmesh.profile.user}"),
        ("'~/secret'", "~/secret"),
        ("'.'", "."),
        ("env:SECRET", "from-env"),
        ("${SECRET}", "from-env"),
        ("$SECRET", "from-env"),
        ("$UNKNOWN", "$UNKNOWN"),
        ("'{cloudmesh.profile.user}'", "ada"),
        ("{cloudmesh.profile.user}", "ada"),
        ("0123", "0123"),
        ("12e5", "12e5"),
        ("1_000", "1_000"),
        ("yes", "yes"),
    ],
)
def test_secrets_of_a_file(written: str, value: str, own_home: Path) -> None:
    folder = own_home / ".cloudmesh"
    folder.mkdir()
    (folder / "cloudmesh.yaml").write_text(FILE.format(secret=written))
    environ = {"SECRET": "from-env", "AKID": "akid-from-env", "HOME": str(own_home)}
    for _ in range(2):
        cloud = Config(environ=environ).cloud("aws")
        assert cloud.credentials["EC2_SECRET_KEY"].reveal() == value
        assert cloud.reveal()["EC2_ACCESS_ID"] == "akid-from-env"
        assert cloud.reveal()["EC2_PRIVATE_KEY_FILE_PATH"] == f"{own_home}/x.pem"
        assert str(cloud.default["note"]) == "******"
        assert cloud.option("note") == f"the key is {value}"


def test_a_secret_that_has_gone(own_home: Path) -> None:
    folder = own_home / ".cloudmesh"
    folder.mkdir()
    (folder / "cloudmesh.yaml").write_text(FILE.format(secret="x"))
    cloud = Config().cloud("aws")
    (folder / "cloudmesh.yaml").write_text("cloudmesh: {}\n")
    with pytest.raises(ConfigError, match="has gone"):
        cloud.reveal()
