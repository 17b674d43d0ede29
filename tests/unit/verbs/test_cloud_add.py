"""`cms cloud add`, `copy`, `info` and `remove`: the catalog of services, kept in the configuration file."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from cloudms import paths
from cloudms.context import Context
from cloudms.errors import Conflict, Exists, Invalid
from cloudms.verbs.cloud import add as module
from tests.unit.verbs.conftest import Call, outcome

pytestmark = pytest.mark.usefixtures("bare")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, ctx: Context) -> None:
    """Take away whatever this machine knows of AWS, and the desktop's keyring."""
    ctx.config.environ = {"HOME": str(Path.home())}
    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def text(ctx: Context) -> str:
    """Return the configuration file."""
    assert ctx.config.path
    return ctx.config.path.read_text()


def test_a_cloud_of_aws_is_added_by_its_name_alone(ctx: Context, call: Call) -> None:
    before = text(ctx)
    plan = call("cloud add", "aws-lab", dry_run=True)
    assert plan.notes[-1] == "then: cms cloud check aws-lab"
    assert "no credentials were found" in plan.notes[0]
    assert text(ctx) == before
    made = outcome(call("cloud add", "aws-lab"))
    assert (made["provider"], made["state"], made["hint"]) == ("aws", "active", "cms cloud check aws-lab")
    default = ctx.config.cloud("aws-lab").default
    assert (default["region"], default["flavor"], default["image"]) == ("us-east-1", "t3.micro", "debian")
    assert text(ctx).startswith(before[: before.index("    local:")])
    assert "# a comment that stays" in text(ctx)


def test_what_the_environment_has_is_not_asked_for(ctx: Context, call: Call) -> None:
    ctx.config.environ = {**ctx.config.environ, "AWS_PROFILE": "work", "AWS_REGION": "eu-north-1"}
    plan = call("cloud add", "aws-lab", dry_run=True)
    assert plan.notes[0] == "it logs in with AWS_PROFILE (the environment)"
    assert plan.steps[0].params["values"]["default.region"] == "eu-north-1"


def test_the_region_of_a_profile_is_taken(ctx: Context, call: Call, tmp_path: Path) -> None:
    config = tmp_path / "aws-config"
    config.write_text("[default]\nregion = eu-west-3\n[profile work]\nregion = ap-south-1\n")
    ctx.config.environ = {"AWS_CONFIG_FILE": str(config)}
    plan = call("cloud add", "aws-lab", credentials="profile:work", dry_run=True)
    assert plan.steps[0].params["values"]["default.region"] == "ap-south-1"
    plan = call("cloud add", "aws-lab", dry_run=True)
    assert plan.steps[0].params["values"]["default.region"] == "eu-west-3"


@pytest.mark.parametrize(
    ("how", "written"),
    [
        ("env", {"AWS_ACCESS_KEY_ID": "env:AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "env:AWS_SECRET_ACCESS_KEY"}),
        ("profile:work", {"profile": "profile 'work' of ~/.aws/credentials"}),
        (
            "file:/etc/lab",
            {
                "AWS_ACCESS_KEY_ID": "file:/etc/lab#AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY": "file:/etc/lab#AWS_SECRET_ACCESS_KEY",
            },
        ),
        (
            "keyring:lab",
            {
                "AWS_ACCESS_KEY_ID": "keyring:lab/AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY": "keyring:lab/AWS_SECRET_ACCESS_KEY",
            },
        ),
    ],
)
def test_credentials_are_written_as_references(ctx: Context, call: Call, how: str, written: dict[str, str]) -> None:
    call("cloud add", "aws-lab", credentials=how)
    assert dict(call("cloud info", "aws-lab").origins) == written
    assert ctx.config.cloud("aws-lab").state == "active"


def test_a_cloud_of_clouds_yaml_is_named_and_only_where_there_is_one(ctx: Context, call: Call) -> None:
    call("cloud add", "openstack", credentials="cloud:mylab")
    assert ctx.config.cloud("openstack").options["cloud"] == "mylab"
    assert "mylab" in dict(call("cloud info", "openstack").origins)["cloud"]
    with pytest.raises(Invalid, match="'cloud:mylab' does not"):
        call("cloud add", "aws-lab", credentials="cloud:mylab")


@pytest.mark.parametrize("how", ["AKIAABCDEFGHIJKLMNOP", "AKIA:secret", "password"])
def test_a_secret_in_clear_is_refused_and_not_repeated(ctx: Context, call: Call, how: str) -> None:
    with pytest.raises(Invalid) as caught:
        call("cloud add", "aws-lab", credentials=how)
    assert how not in f"{caught.value.message} {caught.value.hint} {caught.value.details}"
    with pytest.raises(Invalid, match="is a secret and is not taken in clear") as caught:
        call("cloud add", "aws-lab", [f"AWS_SECRET_ACCESS_KEY={how}"])
    assert how not in f"{caught.value.message} {caught.value.hint}"
    assert "env:NAME" in caught.value.hint
    assert how not in text(ctx)
    assert how not in json.dumps([row.document for row in ctx.catalog.find("operation")])


def test_a_reference_to_one_secret_is_taken(ctx: Context, call: Call) -> None:
    call("cloud add", "aws-lab", ["AWS_ACCESS_KEY_ID=env:ID", "AWS_SECRET_ACCESS_KEY=file:/run/key"])
    assert call("cloud info", "aws-lab").origins == {
        "AWS_ACCESS_KEY_ID": "env:ID", "AWS_SECRET_ACCESS_KEY": "file:/run/key",
    }  # fmt: skip


class Typist:
    """A person at a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
        self.words = list(words)
        monkeypatch.setattr(module, "_interactive", lambda: True)
        monkeypatch.setattr(getpass, "getpass", lambda _prompt: self.words.pop(0))


def test_what_is_typed_goes_into_a_file_of_mode_0600_and_nowhere_else(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    Typist(monkeypatch, "AKIATYPED", "typed=secret")
    call("cloud add", "aws-lab", credentials="ask")
    file = paths.home() / "credentials" / "aws-lab"
    assert file.stat().st_mode & 0o777 == 0o600
    assert ctx.config.cloud("aws-lab").reveal() == {
        "AWS_ACCESS_KEY_ID": "AKIATYPED", "AWS_SECRET_ACCESS_KEY": "typed=secret",
    }  # fmt: skip
    everything = text(ctx) + json.dumps(
        [row.document for kind in ("operation", "event") for row in ctx.catalog.find(kind)]
    )
    assert "typed=secret" not in everything and "AKIATYPED" not in everything
    call("cloud remove", "aws-lab")
    assert not file.exists()


def test_without_any_credentials_a_terminal_is_asked(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Typist(monkeypatch, "AKIATYPED", "typed-secret")
    ctx.terminal = True
    call("cloud add", "aws-lab")
    assert ctx.config.cloud("aws-lab").reveal()["AWS_SECRET_ACCESS_KEY"] == "typed-secret"
    Typist(monkeypatch, "", "")
    with pytest.raises(Invalid, match="nothing was typed"):
        call("cloud add", "aws-two")
    assert "aws-two" not in ctx.config.by_name()


def test_a_resume_does_not_have_what_was_typed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    Typist(monkeypatch, "AKIATYPED", "typed-secret")
    plan = call("cloud add", "aws-lab", credentials="ask", dry_run=True)
    module._typed_in.clear()
    monkeypatch.setattr(module, "_copy", lambda *_args: plan)
    (step,) = call("cloud copy", "one", "aws-lab").steps
    assert step.error["message"].startswith("what was typed is gone")


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a secret."""
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        """Return a secret."""
        return self.kept.get((service, username))

    def delete_password(self, service: str, username: str) -> None:
        """Forget a secret."""
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("gone")


def test_a_keyring_is_preferred_to_a_file(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    monkeypatch.setattr(keyring, "get_keyring", lambda: ring)
    monkeypatch.setattr(keyring.core, "get_keyring", lambda: ring)
    Typist(monkeypatch, "AKIATYPED", "typed-secret")
    call("cloud add", "aws-lab", credentials="ask")
    assert ring.kept["cloudms-aws-lab", "AWS_SECRET_ACCESS_KEY"] == "typed-secret"
    assert call("cloud info", "aws-lab").origins["AWS_ACCESS_KEY_ID"] == "keyring:cloudms-aws-lab/AWS_ACCESS_KEY_ID"
    assert ctx.config.cloud("aws-lab").reveal()["AWS_ACCESS_KEY_ID"] == "AKIATYPED"
    assert not (paths.home() / "credentials").exists()
    call("cloud remove", "aws-lab")
    assert ring.kept == {}


def test_what_cannot_be_a_cloud_is_refused(call: Call) -> None:
    for error, says, args, more in (
        (Exists, "there is a cloud 'one'", ("one",), {}),
        (Invalid, "word of the command line", ("vm",), {}),
        (Invalid, "word of the command line", ("all",), {"kind": "fake"}),
        (Invalid, "word of the command line", ("q",), {"kind": "fake"}),
        (Invalid, "cannot name a cloud", ("a b",), {}),
        (Invalid, "does not say its kind", ("lab",), {}),
        (Invalid, "opens clouds of kind 'azur'", ("lab",), {"kind": "azur"}),
        (Invalid, "are not told 'urii'", ("lab", ["urii=x"]), {"kind": "libvirt"}),
        (Invalid, "is not KEY=VALUE", ("lab", ["uri"]), {"kind": "libvirt"}),
        (Invalid, "take no credentials", ("lab",), {"kind": "libvirt", "credentials": "env"}),
        (Invalid, "no terminal", ("aws-lab",), {"credentials": "ask"}),
        (Invalid, "says where they are", ("aws-lab",), {"credentials": "profile:"}),
        (Invalid, "of the kind of the other", ("lab",), {"kind": "fake", "like": "one"}),
    ):
        with pytest.raises(error, match=says) as caught:
            call("cloud add", *args, **more)
        assert caught.value.hint


def test_words_go_where_they_belong(ctx: Context, call: Call) -> None:
    words = ["uri=qemu+ssh://me@lab/system", "image=debian", "heading=The lab", "max_vms=4", "active=false", "ttl=8h"]
    call("cloud add", "lab", words, kind="libvirt")
    found = ctx.config.cloud("lab")
    assert (found.kind, found.state, found.label) == ("libvirt", "inactive", "The lab")
    assert found.options["uri"] == "qemu+ssh://me@lab/system"
    assert (found.options["max_vms"], found.default["image"], found.default["ttl"]) == (4, "debian", "8h")
    call("cloud add", "own", ["cm.label=mine", "default.image=x"], kind="libvirt")
    assert ctx.config.get("cloud.own.cm.label") == "mine"


def test_a_copy_says_its_differences_only_and_can_be_used(ctx: Context, call: Call) -> None:
    call("cloud copy", "one", "three", ["image=debian", "boot_seconds=3"])
    assert text(ctx).endswith(
        "    three:\n      like: one\n      default:\n        image: debian\n      boot_seconds: 3\n"
    )
    found = call("cloud info", "three")
    assert (found.provider, found.like, found.defaults["flavor"], found.options) == (
        "fake", "one", "small", {"boot_seconds": 3},
    )  # fmt: skip
    assert "power" in found.roles
    call("cloud add", "four", like="three")
    assert ctx.config.cloud("four").default["image"] == "debian"
    call("vm boot", name="web", cloud="three")
    assert call("vm info", "web").cloud == "three"
    assert call("cloud info", "three").known == {"vm": 1}


def test_a_copy_of_a_built_in_cloud_is_one_of_its_kind(ctx: Context, call: Call) -> None:
    call("cloud copy", "fake", "pretend", ["boot_seconds=1"])
    assert ctx.config.cloud("pretend").kind == "fake"


def test_remove_takes_it_out_and_nothing_else(ctx: Context, call: Call) -> None:
    before = text(ctx)
    call("cloud copy", "one", "three")
    call("set", ["image=debian"], cloud="three")
    with pytest.raises(Conflict, match="cloud three is like 'one'"):
        call("cloud remove", "one")
    plan = call("cloud remove", "three", dry_run=True)
    assert plan.question == "Take cloud three out of the configuration?"
    assert outcome(call("cloud remove", "three"))["state"] == "removed"
    assert text(ctx) == before
    assert not ctx.config.settings.values()


def test_a_cloud_with_vms_is_removed_by_force_only(ctx: Context, call: Call) -> None:
    call("cloud copy", "two", "three", ["foreign=theirs", "image=micro"])
    call("vm boot", name="web", cloud="three")
    call("volume create", "data", cloud="three")
    call("vm list")
    with pytest.raises(Conflict, match="2 known on cloud 'three' would be out of reach: web, data"):
        call("cloud remove", "three")
    call("cloud remove", "three", force=True)
    assert [row.document["name"] for row in ctx.catalog.find("vm", cloud="three")] == ["web"]
    assert "three" not in ctx.config.by_name()


def test_the_built_in_cloud_stays(call: Call) -> None:
    call("cloud remove", "local")  # the entry that made it inactive
    with pytest.raises(Invalid, match="is built in"):
        call("cloud remove", "local")


def test_info_asks_nobody_and_shows_no_secret(ctx: Context, call: Call) -> None:
    found = call("cloud info", "aws")
    assert (found.state, found.origins["EC2_SECRET_KEY"]) == ("unset", "no value yet")
    assert ctx.config.path
    ctx.config.change(
        {"cloud.aws.credentials.EC2_SECRET_KEY": "in-clear-4711", "cloud.aws.endpoint": "https://u:4711@x"}
    )
    found = call("cloud info", "aws")
    assert found.origins["EC2_SECRET_KEY"] == "the configuration file"
    assert "4711" not in json.dumps(found.to_public())
