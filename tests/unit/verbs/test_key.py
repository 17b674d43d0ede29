"""Keys: made here with a private half that stays, taken in, put on clouds, deleted only when nobody needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms import paths
from cloudms.context import Context
from cloudms.engine import run
from cloudms.engine.keys import identity
from cloudms.errors import Conflict, Exists, Invalid, NotFound, Unsupported
from cloudms.model import OperationState
from tests.unit.verbs.conftest import Call, events, outcome

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOiYPRtq9mThdzvfTn3EyRvlEbfckPEvd3x1j/gyMOzA me@laptop"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPxizrNv0r8jYHq0BqBhjs0ENW305jZ6JyrVODkKM/O4 other"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a public key file."""
    path = tmp_path / "mine.pub"
    path.write_text(PUBLIC + "\n")
    return path


def test_create_keeps_the_private_half_for_its_owner_alone(ctx: Context, call: Call) -> None:
    made = outcome(call("key create", "work"))
    private = paths.keys() / "work"
    assert private.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in private.read_text()
    assert made["private_path"] == str(private)
    assert call("key get", "work") == (paths.keys() / "work.pub").read_text().strip()
    assert call("key get", "work").startswith("ssh-ed25519 ")
    assert events(ctx) == ["key.create work: made"]


def test_the_private_half_never_reaches_catalog_or_results(ctx: Context, call: Call) -> None:
    operation = call("key create", "work")
    body = (paths.keys() / "work").read_text().splitlines()[2]
    stored = [row.document for kind in ("key", "operation", "event") for row in ctx.catalog.find(kind)]
    assert body not in str([stored, operation.to_public()])


def test_create_refuses_what_exists(call: Call) -> None:
    call("key create", "work")
    with pytest.raises(Exists, match="a key 'work'"):
        call("key create", "work")
    with pytest.raises(Invalid):
        call("key create", "../work")


def test_create_refuses_a_file_that_no_catalog_knows_and_says_how_to_take_it_in(ctx: Context, call: Call) -> None:
    call("key create", "work")
    ctx.catalog.delete("key", ["/work"])
    with pytest.raises(Exists, match="exists already") as caught:
        call("key create", "work")
    assert caught.value.hint.startswith("cms key add work")
    taken = outcome(call("key add", "work", paths.keys() / "work.pub"))
    assert taken["private_path"] == str(paths.keys() / "work")


def test_an_interrupted_creation_is_finished_with_the_same_pair(ctx: Context, call: Call) -> None:
    from cloudms.engine import execute, start

    plan = call("key create", "work", dry_run=True)
    execute(ctx, start(ctx, plan))
    before = (paths.keys() / "work").read_text()
    ctx.catalog.delete("key", ["/work"])  # as if it had been killed between the file and the row
    assert execute(ctx, start(ctx, plan)).state is OperationState.DONE
    assert (paths.keys() / "work").read_text() == before


def test_names_may_have_dots(call: Call) -> None:
    call("key create", "my.key")
    assert (paths.keys() / "my.key.pub").exists()
    assert call("key get", "my.key").endswith(" my.key")


def test_add_takes_a_public_key_and_nothing_else(ctx: Context, call: Call, file: Path, tmp_path: Path) -> None:
    assert outcome(call("key add", "laptop", file))["fingerprint"].startswith("SHA256:9aPySb2D")
    assert call("key get", "laptop") == PUBLIC
    call("key create", "work")
    with pytest.raises(Invalid, match="not a public key"):
        call("key add", "bad", paths.keys() / "work")
    with pytest.raises(Invalid, match="cannot read"):
        call("key add", "bad", tmp_path / "none.pub")
    (tmp_path / "binary.pub").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="not text"):
        call("key add", "bad", tmp_path / "binary.pub")


def test_add_twice_is_fine_and_another_key_of_that_name_is_not(call: Call, file: Path, tmp_path: Path) -> None:
    call("key add", "laptop", file)
    assert call("key add", "laptop", file).state is OperationState.DONE
    other = tmp_path / "other.pub"
    other.write_text(OTHER)
    with pytest.raises(Exists, match="another key"):
        call("key add", "laptop", other)


def test_add_without_a_file_takes_the_usual_one(call: Call, own_home: Path) -> None:
    with pytest.raises(NotFound, match=r"no public key in ~/\.ssh"):
        call("key add", "laptop")
    (own_home / ".ssh").mkdir()
    (own_home / ".ssh" / "id_rsa.pub").write_text(OTHER)
    (own_home / ".ssh" / "id_ed25519.pub").write_text(PUBLIC)
    call("key add", "laptop")
    assert call("key get", "laptop") == PUBLIC


def test_copies_on_a_cloud(ctx: Context, call: Call, file: Path) -> None:
    call("key add", "laptop", file)
    assert [k.cloud for k in call("key list").items] == [""]
    call("key add", "laptop", cloud="one")
    assert [(k.name, k.cloud) for k in call("key list", cloud="one").items] == [("laptop", ""), ("laptop", "one")]
    assert call("key get", "laptop", cloud="one") == PUBLIC
    assert [k.cloud for k in call("key list", cloud="two").items] == [""]
    assert outcome(call("key delete", ["laptop"], cloud="one"))["cloud"] == "one"
    assert [k.cloud for k in call("key list", cloud="one").items] == [""]
    assert events(ctx)[-1] == "key.delete laptop: deleted"
    with pytest.raises(NotFound):
        call("key delete", ["laptop"], cloud="one")


def test_an_unknown_cloud_is_refused_before_anything_is_made(call: Call) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        call("key create", "work", cloud="nowhere")
    assert not (paths.keys() / "work").exists()


@pytest.mark.usefixtures("plain")
def test_a_cloud_that_keeps_no_keys_is_refused_before_anything_is_made(call: Call) -> None:
    with pytest.raises(Unsupported, match="no keys"):
        call("key create", "work", cloud="plain")
    assert not (paths.keys() / "work").exists()


def test_delete_takes_the_private_half_only_of_what_cloudms_made(call: Call, file: Path) -> None:
    call("key create", "work")
    assert "private half" in call("key delete", ["work"], dry_run=True).question
    call("key delete", ["work"])
    assert not list(paths.keys().glob("work*"))
    private = file.with_suffix("")
    private.write_text("secret")
    call("key add", "laptop", file)
    assert "private" not in call("key delete", ["laptop"], dry_run=True).question
    call("key delete", ["laptop"])
    assert private.exists()
    assert file.exists()
    with pytest.raises(NotFound):
        call("key get", "laptop")


def test_a_delete_that_is_carried_out_late_spares_another_key_of_that_name(ctx: Context, call: Call) -> None:
    call("key create", "work")
    late = call("key delete", ["work"], dry_run=True)
    call("key delete", ["work"])
    call("key create", "work")
    operation = run(ctx, late)
    assert operation.state is OperationState.FAILED
    assert list(paths.keys().glob("work*"))


def test_a_key_that_leads_into_vms_is_kept(ctx: Context, call: Call) -> None:
    call("key create", "work")
    assert identity(ctx, "work").name == "work"
    call("vm boot", name="web", count=2, key="work")
    with pytest.raises(Conflict, match=r"web-\[1-2\]"):
        call("key delete", ["work"])
    call("vm delete", ["web-1", "web-2"])
    assert call("key delete", ["work"]).state is OperationState.DONE


def test_the_nearest_name_is_offered(call: Call) -> None:
    call("key create", "work")
    with pytest.raises(NotFound) as caught:
        call("key get", "wrok")
    assert "work" in caught.value.hint


def test_a_cloud_before_the_command_is_where_the_key_goes(ctx: Context, call: Call) -> None:
    ctx.chosen_cloud = "one"
    (step,) = call("key create", "AWS1").steps
    assert (step.result["cloud"], step.result["name"]) == ("one", "AWS1")
    assert [(key.name, key.cloud) for key in call("key list").items] == [("AWS1", ""), ("AWS1", "one")]
    assert [key.cloud for key in call("key refresh").items] == ["one"]
    public = call("key get", "AWS1")
    assert public.startswith("ssh-ed25519 ")
    call("key delete", ["AWS1"])
    assert [(key.name, key.cloud) for key in call("key list", refresh=True).items] == [("AWS1", "")]
    private = Path(call("key list").items[0].private_path)
    assert private.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("plain")
def test_a_cloud_that_keeps_no_keys_before_the_command_changes_nothing(ctx: Context, call: Call) -> None:
    ctx.chosen_cloud = "plain"
    call("key create", "mine")
    assert [(key.name, key.cloud) for key in call("key list").items] == [("mine", "")]
