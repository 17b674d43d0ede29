"""Settings: layered, remembered, forgotten; never a secret; the counter is safe."""

from __future__ import annotations

import pytest

from cloudms.config import Config, Counter
from cloudms.context import Context
from cloudms.engine.refresh import wants_fresh
from cloudms.errors import Invalid, NotFound
from tests.unit.verbs.conftest import Call, events, outcome


def shown(call: Call, *args: str, **options: str) -> dict[str, object]:
    return {setting.name: setting.value for setting in call("default", *args, **options).items}


def test_every_layer_names_its_source(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("default", "cloud").items[0].source == str(ctx.config.path)
    call("set", ["cloud=two"])
    assert call("default", "cloud").items[0].to_document()["source"] == "cms set"
    monkeypatch.setenv("CLOUDMS_DEFAULT_CLOUD", "one")
    (setting,) = call("default", "cloud").items
    assert (setting.value, setting.source) == ("one", "CLOUDMS_DEFAULT_CLOUD")


@pytest.mark.parametrize("words", [["cloud=two"], ["default", "cloud=two"], ["cloud", "two"], ["default.cloud=two"]])
def test_set_in_every_form_the_ancestors_had(ctx: Context, call: Call, words: list[str]) -> None:
    call("set", words)
    assert ctx.default_cloud() == "two"
    assert Config().default_cloud() == "two"
    assert events(ctx) == ["set default.cloud: set to two"]


def test_several_at_once_and_forgotten_again(ctx: Context, call: Call) -> None:
    operation = call("set", ["image=debian", "flavor=tiny", "refresh=off"])
    assert [step.state for step in operation.steps] == ["done"] * 3
    assert ctx.config.cloud("one").default["image"] == "debian"
    assert shown(call)["cloud.one.default.flavor"] == "tiny"
    call("set", ["image="])
    assert ctx.config.cloud("one").default["image"] == "micro"
    assert call("default", "image").items[0].source == str(ctx.config.path)


def test_defaults_of_another_cloud(ctx: Context, call: Call) -> None:
    call("set", ["image=debian"], cloud="two")
    assert ctx.config.cloud("two").default["image"] == "debian"
    assert ctx.config.cloud("one").default["image"] == "micro"
    assert shown(call, "image", cloud="two") == {"cloud.two.default.image": "debian"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cloud=three"], "three"),
        (["nonsense"], "not KEY=VALUE"),
        (["=x"], "not KEY=VALUE"),
        (["a b=x"], "not a key"),
        (["refresh=maybe"], "on or off"),
        (["cloud.aws.credentials.EC2_SECRET_KEY=abc"], "is a secret"),
        (["my_password=abc"], "is a secret"),
    ],
)
def test_what_cannot_be_remembered_is_refused_before_anything_changes(
    ctx: Context, call: Call, words: list[str], message: str
) -> None:
    with pytest.raises((Invalid, NotFound), match=message):
        call("set", ["image=debian", *words] if "=" in words[0] else words)
    assert ctx.config.settings.values() == {}
    assert ctx.catalog.find("operation") == []


def test_an_unknown_setting_is_not_found(call: Call) -> None:
    with pytest.raises(NotFound, match="no setting named 'colour'"):
        call("default", "colour")


def test_a_secret_of_the_file_shows_no_value(ctx: Context, call: Call) -> None:
    ctx.config.set("cloud.aws.credentials.EC2_SECRET_KEY", "hunter2")
    (setting,) = call("default", "cloud.aws.credentials.EC2_SECRET_KEY").items
    assert setting.value == "******"
    assert "hunter2" not in str(call("default", "cloud.aws").items[0].to_public())


def test_refresh_on_and_off_decide_what_lists_do(ctx: Context, call: Call) -> None:
    assert call("refresh").items[0].value == "on"
    call("refresh", "off")
    assert call("refresh").items[0].value == "off"
    assert not wants_fresh(ctx, cached=False, refresh=False)
    call("refresh", "on")
    assert wants_fresh(ctx, cached=False, refresh=False)


def test_a_dry_run_remembers_nothing(ctx: Context, call: Call) -> None:
    assert call("set", ["cloud=two"], dry_run=True).summary == "remember default.cloud = two"
    assert call("refresh", "off", dry_run=True).summary == "remember refresh = off"
    assert call("counter", set=5, dry_run=True).summary == "bring the counter counter from 0 to 5"
    assert ctx.config.settings.values() == {}
    assert Counter().get() == 0


def test_the_counter_shows_counts_and_is_set(call: Call) -> None:
    assert [(c.name, c.value) for c in call("counter").items] == [("counter", 0)]
    assert outcome(call("counter", add=3))["value"] == 3
    assert outcome(call("counter", add=-10))["value"] == 0
    assert outcome(call("counter", set=41))["value"] == 41
    assert Counter().incr() == 42
    call("counter", "volumes", set=7)
    assert {c.name: c.value for c in call("counter").items} == {"counter": 42, "volumes": 7}
    assert [c.value for c in call("counter", "volumes").items] == [7]


@pytest.mark.parametrize("options", [{"add": 1, "set": 2}, {"set": -1}])
def test_a_counter_is_a_whole_number_set_in_one_way(call: Call, options: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        call("counter", **options)


@pytest.mark.parametrize("key", ["ceiling.max_vms", "cloud.one.max_price_per_hour"])
def test_a_ceiling_is_a_number(ctx: Context, call: Call, key: str) -> None:
    call("set", [f"{key}=2.5"])
    assert ctx.config.get(key) == "2.5"
    with pytest.raises(Invalid, match="is not a number"):
        call("set", [f"{key}=many"])
    call("set", [f"{key}="])
    assert ctx.config.get(key) is None
