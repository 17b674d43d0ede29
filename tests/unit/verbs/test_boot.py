"""Booting: what is refused before anything is written down, what reaches the cloud, and what is told before."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Never

import pytest

from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.engine import making, userdata
from cloudms.errors import Invalid, MissingExtra, Unsupported
from cloudms.model import Flavor
from tests.unit.verbs.conftest import Call
from tests.unit.verbs.test_lists import fake


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_missing_optional_part_is_named_before_an_image_is_built(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    monkeypatch.setattr("cloudms.images.build.build", lambda *_args, **_facts: pytest.fail("an image is built"))
    with pytest.raises(MissingExtra) as caught:
        call("vm boot", "micro", cloud="local", dry_run=dry_run)
    assert caught.value.hint == 'pip install "cloudms[libvirt]"'
    assert not ctx.catalog.find("vm")
    assert not ctx.catalog.find("operation")


def raw(ctx: Context, cloud: str = "one") -> dict[str, Any]:
    """Return the one VM of a cloud as the cloud keeps it."""
    (vm,) = ctx.cloud(cloud).list_vms()
    return dict(vm.raw)


def test_region_spot_and_open_ports_reach_the_cloud(ctx: Context, call: Call) -> None:
    call("vm boot", name="a", region="fake-west", spot=True, open="443, 80,80", hibernate=True)
    assert raw(ctx)["region"] == "fake-west-1"
    assert raw(ctx)["options"] == {"spot": True, "open": [80, 443], "hibernate": True}
    assert call("vm info", "a").region == "fake-west-1"


@pytest.mark.parametrize(
    ("options", "role"),
    [
        ({"region": "x"}, "locations"),
        ({"spot": True}, "spot"),
        ({"open": "80"}, "open ports"),
        ({"hibernate": True}, "save"),
    ],
)
@pytest.mark.usefixtures("plain")
def test_what_a_cloud_cannot_do_is_refused_before_any_call(
    ctx: Context, call: Call, options: dict[str, Any], role: str
) -> None:
    with pytest.raises(Unsupported, match=f"plain has no {role}") as caught:
        call("vm boot", "none", cloud="plain", **options)
    assert caught.value.hint.startswith("these clouds can: one, two")
    assert not ctx.catalog.find("vm")
    assert not ctx.catalog.find("operation")


@pytest.mark.parametrize("ports", ["http", "0", "65536", "80,-1", "80:8080", "²"])
def test_what_is_no_port_is_refused(ctx: Context, call: Call, ports: str) -> None:
    with pytest.raises(Invalid, match="is not a port"):
        call("vm boot", name="a", open=ports)
    assert not ctx.catalog.find("vm")


def test_the_price_is_told_before_with_its_age_and_stored_with_the_vm(ctx: Context, call: Call) -> None:
    plan = call("vm boot", name="a", count=3, flavor="medium", dry_run=True)
    assert plan.notes[0] == "3 VMs at 0.04 USD per hour are 0.12 USD per hour (price of 2023-11-14, asked just now)"
    ctx.clock.sleep(2 * 86400)
    plan = call("vm boot", name="a", flavor="medium", dry_run=True)
    assert plan.notes[0] == "0.04 USD per hour (price of 2023-11-14, 2d old)"
    call("vm boot", name="a", flavor="medium")
    assert call("vm info", "a").price_per_hour == 0.04
    assert len(fake(ctx, "one").calls("price")) == 1


def test_a_spot_vm_has_the_spot_price(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    spot = Flavor(name="small", cloud="one", id="small", price_per_hour=0.01, spot_per_hour=0.003, price_fetched=1.0)
    monkeypatch.setattr("cloudms.engine.estimate.price_of", lambda *_args: spot)
    assert "0.003 USD per hour (spot price" in call("vm boot", name="a", spot=True, dry_run=True).notes[0]
    assert "0.01 USD per hour (price" in call("vm boot", name="a", dry_run=True).notes[0]


def test_a_price_that_cannot_be_told_stops_nobody_and_is_not_asked_for_again(ctx: Context, call: Call) -> None:
    fake(ctx, "one").add_fault("denied", call="price", times=0)
    for _ in range(2):
        assert call("vm boot", name="a", dry_run=True).notes[0] == "the price is not known"
    assert len(fake(ctx, "one").calls("price")) == 1
    ctx.clock.sleep(3601)
    call("vm boot", name="a", dry_run=True)
    assert len(fake(ctx, "one").calls("price")) == 2


def test_nothing_is_said_of_prices_where_nothing_costs_money(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCloud, "costs_money", False)
    assert call("vm boot", name="a", dry_run=True).notes == ()


def test_a_dry_run_shows_the_user_data_without_secrets_and_keeps_them_nowhere(
    ctx: Context, call: Call, tmp_path: Path
) -> None:
    data = tmp_path / "setup.yaml"
    data.write_text("#cloud-config\npackages: [nginx]\npassword: hunter2\n")
    plan = call("vm boot", name="a", user_data=data, dry_run=True)
    assert plan.shows == {"user data": "#cloud-config\npackages: [nginx]\npassword: ******\n"}
    call("vm boot", name="a", user_data=data)
    stored = [row.document for kind in ("vm", "operation", "event") for row in ctx.catalog.find(kind)]
    assert "nginx" not in str(stored)


@pytest.mark.parametrize("place", ["identity", "reserve_many"])
@pytest.mark.parametrize("raised", [KeyboardInterrupt(), OSError(28, "full"), Invalid("no key", hint="make one")])
def test_names_are_given_back_when_a_boot_ends_before_it_begins(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch, raised: BaseException, place: str
) -> None:
    real = making.reserve_many

    def fail(*words: Any, **options: Any) -> Never:
        if place == "reserve_many":
            real(*words, **options)
        raise raised

    monkeypatch.setattr(making, place, fail)
    with pytest.raises(type(raised)):
        call("vm boot", name="a", count=3)
    assert list(ctx.catalog.find("name")) == []


def test_a_console_has_no_negative_number_of_lines(call: Call) -> None:
    call("vm boot", name="a")
    with pytest.raises(Invalid, match="-4"):
        list(call("vm console", "a", lines=-4))


def test_user_data_that_cannot_be_read_again_is_refused(call: Call, tmp_path: Path) -> None:
    pipe, long = tmp_path / "pipe", tmp_path / "long"
    os.mkfifo(pipe)
    with long.open("wb") as file:
        file.truncate(1 << 40)
    for path in (pipe, Path("/dev/zero"), long, tmp_path):
        with pytest.raises(Invalid, match=f"cannot read {path}: "):
            call("vm boot", name="a", user_data=path, dry_run=True)


SECRETS = """\
#cloud-config
users:
  - name: bob
    plain_text_passwd: 'hunter1'
    ssh_authorized_keys: [ssh-ed25519 AAAA bob]
chpasswd:
  list: |
    root:hunter2
    bob:hunter3
runcmd:
  - export API_TOKEN=hunter4
  - [sh, -c, "curl https://bob:hunter5@example.org/x"]
  - echo 'root:hunter6' | chpasswd
write_files:
  - path: /etc/app.key
    content: |
      -----BEGIN OPENSSH PRIVATE KEY-----
      hunter7
      -----END OPENSSH PRIVATE KEY-----
  - {path: /x, secret_key: hunter8, permissions: '0600'}
  - "password": "hunter9"
packages: [nginx, git]
"""


def test_what_looks_like_a_secret_is_masked_and_nothing_else() -> None:
    shown = userdata.shown(SECRETS)
    assert "hunter" not in shown
    for kept in ("- name: bob", "[ssh-ed25519 AAAA bob]", "example.org/x", "permissions: '0600'}", "[nginx, git]"):
        assert kept in shown
    plain = "#!/bin/sh\nset -e\napt-get install -y nginx\necho http://example.org:80/x key: value\n"
    assert userdata.shown(plain) == plain
