"""What Ansible and ssh are told: the right hosts in the right groups, pinned, and never a template of a stranger."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudms import paths, ssh
from cloudms.context import Context
from cloudms.engine.inventory import proxy, word
from cloudms.errors import Invalid, NotFound, NotReady, Unsupported
from cloudms.fanout.host import Host
from cloudms.model import Origin
from tests.unit.calling import Call


def told(call: Call, words: str = "inventory", *args: Any, **options: Any) -> str:
    return "\n".join(call(words, *args, **options))


def listed(call: Call, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(call, **options))
    return found


def change(ctx: Context, name: str, **fields: Any) -> None:
    (row,) = ctx.catalog.find("vm", name=name)
    ctx.catalog.put("vm", {row.key: {**row.document, **fields}})


@pytest.fixture
def web(call: Call) -> None:
    """Make a group on two clouds, and a VM beside it."""
    call("group create", "web", size=2, cloud="one,two", image="micro", label={"tier": "front"})
    call("vm boot", name="db", label={"tier": "back", "note": ""})
    call("vm stop", ["db"], force=True)


@pytest.mark.usefixtures("web")
def test_hosts_stand_in_groups_by_group_cloud_state_and_label(call: Call) -> None:
    found = listed(call)
    hosts = {name: group["hosts"] for name, group in found.items() if name not in ("_meta", "all")}
    assert hosts == {
        "web": ["web-1", "web-2"],
        "cloud_one": ["db", "web-1"],
        "cloud_two": ["web-2"],
        "state_running": ["web-1", "web-2"],
        "state_stopped": ["db"],
        "label_tier_front": ["web-1", "web-2"],
        "label_tier_back": ["db"],
        "label_note": ["db"],
    }
    assert set(found["all"]["children"]) == {*hosts, "ungrouped"}
    assert set(found["_meta"]["hostvars"]) == set(found["all"]["hosts"]) == {"db", "web-1", "web-2"}


@pytest.mark.usefixtures("web")
def test_a_host_is_reached_with_its_key_pinned(ctx: Context, call: Call) -> None:
    (row,) = ctx.catalog.find("vm", name="web-1")
    facts = listed(call)["_meta"]["hostvars"]["web-1"]
    assert (facts["ansible_host"], facts["ansible_port"]) == (row.document["ssh_host"], row.document["ssh_port"])
    assert (facts["ansible_user"], facts["cms_cloud"], facts["cms_image"]) == ("root", "one", "micro")
    assert facts["ansible_ssh_private_key_file"] == row.document["ssh_key"]
    words = shlex.split(facts["ansible_ssh_common_args"])
    assert words[::2] == ["-o"] * (len(words) // 2)
    assert f"HostKeyAlias=cms-{row.key}" in words
    assert f'UserKnownHostsFile="{paths.known_hosts()}"' in words
    assert "StrictHostKeyChecking=accept-new" in words
    ssh.accept({f"cms-{row.key}": "ssh-ed25519 AAAA"})
    again = json.loads(told(call, host="web-1", cached=True))
    assert "StrictHostKeyChecking=yes" in again.pop("ansible_ssh_common_args")
    del facts["ansible_ssh_common_args"]
    assert again == facts
    with pytest.raises(NotFound, match="no host named 'wep-1'"):
        told(call, host="wep-1")


@pytest.mark.usefixtures("web")
def test_the_choice_narrows_hosts_and_groups(call: Call) -> None:
    assert set(listed(call, group="web")["_meta"]["hostvars"]) == {"web-1", "web-2"}
    assert set(listed(call, group="web", on="web-2")["_meta"]["hostvars"]) == {"web-2"}
    assert set(listed(call, cloud="one")["_meta"]["hostvars"]) == {"db", "web-1"}
    assert set(listed(call, label={"tier": "back"})["_meta"]["hostvars"]) == {"db"}
    with pytest.raises(NotFound, match="no group"):
        listed(call, group="nobody")


@pytest.mark.usefixtures("web")
def test_who_cannot_be_reached_is_left_out(ctx: Context, call: Call) -> None:
    change(ctx, "web-1", origin=Origin.FOREIGN)
    change(ctx, "web-2", ssh_host="")
    assert list(listed(call, cached=True)["_meta"]["hostvars"]) == ["db"]


@pytest.mark.usefixtures("web")
def test_a_label_is_never_a_template(ctx: Context, call: Call) -> None:
    evil = "{{ lookup('pipe', 'id') }}{% raw %}{# #}"
    change(ctx, "db", labels={"x": evil, "{{7}}": "y"}, image="{{image}}")
    for format_ in ("json", "yaml", "ini"):
        text = told(call, format=format_, cached=True)
        assert not [mark for mark in ("{{", "{%", "{#") if mark in text], format_
    assert listed(call, cached=True)["_meta"]["hostvars"]["db"]["cms_labels"]["x"].startswith("{ { lookup")


@pytest.mark.parametrize(
    ("text", "name"), [("web", "web"), ("my-web.1", "my_web_1"), ("3d", "_3d"), ("tier=front é", "tier_front__")]
)
def test_names_of_groups_are_ones_that_ansible_takes(text: str, name: str) -> None:
    assert word(text) == name


def test_a_group_never_takes_a_word_of_ansible(ctx: Context, call: Call) -> None:
    for name in ("all", "cloud_one"):
        call("vm boot", name=f"vm-{name}".replace("_", "-"), group=name)
    found = listed(call)
    assert found["group_all"]["hosts"] == ["vm-all"]
    assert found["group_cloud_one"]["hosts"] == ["vm-cloud-one"]
    assert len(found["cloud_one"]["hosts"]) == 2


@pytest.mark.usefixtures("web")
def test_the_files_say_the_same(call: Call) -> None:
    found = listed(call)
    plain = yaml.safe_load(told(call, format="yaml"))["all"]
    assert plain["hosts"] == found["_meta"]["hostvars"]
    assert {name: sorted(group["hosts"]) for name, group in plain["children"].items()} == {
        name: group["hosts"] for name, group in found.items() if name not in ("_meta", "all")
    }
    lines = told(call, format="ini").splitlines()
    facts = dict(pair.split("=", 1) for pair in shlex.split(next(each for each in lines if each.startswith("db ")))[1:])
    assert facts["ansible_ssh_common_args"] == found["_meta"]["hostvars"]["db"]["ansible_ssh_common_args"]
    place = lines.index("[web]")
    assert lines[place + 1 : place + 3] == ["web-1", "web-2"]


def test_an_empty_inventory_is_one(call: Call) -> None:
    assert listed(call) == {"_meta": {"hostvars": {}}, "all": {"children": ["ungrouped"], "hosts": []}}
    assert yaml.safe_load(told(call, format="yaml")) == {"all": {"hosts": {}, "children": {}}}
    assert told(call, format="ini") == "# made by cms inventory"


def test_the_script_asks_for_the_same_choice_with_any_shell(call: Call, tmp_path: Path) -> None:
    text = told(call, script=True, group="web", label={"a": "it's"})
    file = tmp_path / "inventory"
    file.write_text(text + "\n")
    assert text.startswith("#!/bin/sh\n")
    assert subprocess.run(["sh", "-n", str(file)], check=False).returncode == 0
    words = shlex.split(text.splitlines()[-1])
    assert words[2:] == [
        "-m", "cloudms", "inventory", "--group", "web", "--label", "a=it's", "--output", "table", "$@",
    ]  # fmt: skip


# ---- through bastions -----------------------------------------------------------------------------------------------


def test_a_bastion_leads_to_a_host_with_its_own_key_and_pin() -> None:
    first = Host(name="b1", address="192.0.2.1", port=0, login="ada")
    second = Host(name="b2", address="10.0.0.1", port=2200, login="cms", key_file="/k", alias="cms-1")
    host = Host(name="web", address="10.0.0.2")
    assert proxy(host) == ""
    assert shlex.split(proxy(host.with_(jump=(first,)))) == ["ssh", "-W", "[%h]:%p", "ada@192.0.2.1"]
    words = shlex.split(proxy(host.with_(jump=(first, second))))
    assert words[:4] == ["ssh", "-W", "[%h]:%p", "-o"]
    assert words[4] == "ProxyCommand=ssh -W '[10.0.0.1]:2200' ada@192.0.2.1"
    assert words[5:7] == ["-p", "2200"]
    assert "HostKeyAlias=cms-1" in words
    assert words[-3:] == ["-i", "/k", "cms@10.0.0.1"]


@pytest.mark.usefixtures("web")
def test_ssh_config_is_of_a_group_and_goes_through_bastions(ctx: Context, call: Call) -> None:
    text = told(call, "ssh-config", group="web")
    assert [line for line in text.splitlines() if line.startswith("Host ")] == ["Host web-1", "Host web-2"]
    assert "ProxyCommand" not in text
    assert told(call, "ssh-config", group="web", on="web-2").count("Host ") == 1
    assert told(call, "ssh-config").count("\nHost ") == 2


# ---- cms ansible ----------------------------------------------------------------------------------------------------


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text("- hosts: all\n")
    return file


@pytest.mark.usefixtures("web")
def test_ansible_over_simulated_vms_says_what_would_run(ctx: Context, call: Call, playbook: Path) -> None:
    call("vm stop", ["web-2"], force=True)
    words = shlex.split(list(call("ansible", playbook, ["--check"], group="web"))[-1])
    file = paths.home() / "ansible" / "web.yaml"
    assert words == ["ansible-playbook", "-i", str(file), "--limit", "web-1", str(playbook), "--check"]
    assert list(yaml.safe_load(file.read_text())["all"]["hosts"]) == ["web-1"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert ctx.warnings == ["web-2 cannot be reached now and is left out"]
    with pytest.raises(NotReady, match="none of 1 VMs runs"):
        list(call("ansible", playbook, label={"tier": "back"}))
    with pytest.raises(Invalid, match="no VM was named"):
        list(call("ansible", playbook))


@pytest.mark.usefixtures("web")
def test_without_ansible_the_hint_says_how_to_get_it(
    call: Call, playbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudms.clouds.fake.FakeCloud.simulated", False)
    monkeypatch.setattr("shutil.which", lambda *_args, **_facts: None)
    with pytest.raises(Unsupported, match="ansible-playbook is missing") as raised:
        list(call("ansible", playbook, group="web"))
    assert "pip install ansible-core" in raised.value.hint


@pytest.mark.usefixtures("web")
def test_a_dry_run_shows_hosts_and_command_and_runs_nothing(
    ctx: Context, call: Call, playbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudms.clouds.fake.FakeCloud.simulated", False)
    monkeypatch.setattr("shutil.which", lambda *_args, **_facts: None)  # not even Ansible is needed
    monkeypatch.setattr("cloudms.verbs.ansible.become", lambda _ctx, words: pytest.fail(f"{words} was run"))
    first, *hosts, command, last = list(call("ansible", playbook, ["--diff"], group="web", dry_run=True))
    assert first == f"would run {playbook} on 2 VMs"
    vms = {vm.name: vm for vm in call("vm list", group="web").items}
    assert hosts == [f"  {name}  root@{vms[name].ssh_host}:{vms[name].ssh_port}" for name in ("web-1", "web-2")]
    file = paths.home() / "ansible" / "web.yaml"
    wanted = ["ansible-playbook", "-i", str(file), "--limit", "web-1,web-2", str(playbook), "--diff"]
    assert shlex.split(command) == wanted
    assert last == "nothing was changed (dry run)"
    assert not file.exists()
    call("vm stop", ["web-2"], force=True)
    assert next(iter(call("ansible", playbook, group="web", dry_run=True))) == f"would run {playbook} on 1 VM"
    assert ctx.warnings == ["web-2 cannot be reached now and is left out"]


@pytest.mark.usefixtures("web")
def test_ansible_gets_the_terminal_and_the_exit_code(
    call: Call, playbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("cloudms.clouds.fake.FakeCloud.simulated", False)
    monkeypatch.setattr("shutil.which", lambda *_args, **_facts: "/opt/bin/ansible-playbook")
    monkeypatch.setattr("cloudms.verbs.ansible.become", lambda _ctx, words: begun.append(words))
    assert list(call("ansible", playbook, group="web")) == []
    (words,) = begun
    assert words[0] == "/opt/bin/ansible-playbook"
    assert words[words.index("--limit") + 1] == "web-1,web-2"
