"""First-boot data: what a person gave stays verbatim, and host names, keys and the timer stand beside it."""

from __future__ import annotations

from email import message_from_string
from email.message import Message

import pytest
import yaml

from cloudms.clouds.aws import firstboot

KEY = 'ssh-ed25519 AAAAC3Nz "odd" comment'
SCRIPT = "#!/bin/sh\necho {{ not a template }}\n"


def parts(text: str) -> list[Message]:
    found: list[Message] = [part for part in message_from_string(text).walk() if not part.is_multipart()]
    return found


def body(part: Message) -> str:
    content = part.get_payload()
    assert isinstance(content, str)
    return content


def test_nothing_asked_for_is_nothing() -> None:
    assert firstboot.data("", [""], (), None) == firstboot.FirstBoot(text="")


def test_one_host_name_is_plain_cloud_config() -> None:
    found = firstboot.data("", ["web"], (KEY,), None)
    keys, name = (yaml.safe_load(body(part)) for part in parts(found.text))
    assert keys["ssh_authorized_keys"] == [KEY]
    assert name["hostname"] == "web"
    assert {each["name"] for each in name["merge_how"]} == {"list", "dict"}
    assert yaml.safe_load(firstboot.data("", ["web"], (), None).text)["hostname"] == "web"


def test_a_script_stays_verbatim_beside_ours() -> None:
    found = firstboot.data(SCRIPT, ["web"], (), None)
    script, config = parts(found.text)
    assert (script.get_content_type(), config.get_content_type()) == ("text/x-shellscript", "text/cloud-config")
    assert body(script).rstrip("\n") == SCRIPT.rstrip("\n")


@pytest.mark.parametrize(
    "given",
    ["<powershell>ls</powershell>", '{"ignition": {"version": "3.3.0"}}', "[settings.host]\n", "variant: fcos\n"],
)
def test_data_that_are_not_for_cloud_init_are_passed_alone_and_without_a_timer(given: str) -> None:
    assert firstboot.data(given, ["web"], (KEY,), 1.8e9) == firstboot.FirstBoot(text=given)


def test_a_lease_brings_the_timer_and_the_same_request_the_same_text() -> None:
    found = firstboot.data(SCRIPT, ["web"], (), 1_800_000_000.0)
    assert found.timer
    assert "1800000000" in found.text
    assert found == firstboot.data(SCRIPT, ["web"], (), 1_800_000_000.0)
    assert SCRIPT.strip() in found.text


def test_each_vm_of_a_batch_takes_its_host_name_by_its_launch_index() -> None:
    text = firstboot.data("", ["web-1", "web-2", "web-3"], (), None).text
    assert text.startswith("## template: jinja\n#cloud-config\n")
    jinja2 = pytest.importorskip("jinja2")
    for index in range(3):
        rendered = jinja2.Template(text).render(ds={"meta_data": {"ami_launch_index": str(index)}})
        assert yaml.safe_load(rendered)["hostname"] == f"web-{index + 1}"


@pytest.mark.parametrize("given", ["", "<powershell>hostname</powershell>", "#cloud-config\n"])
def test_a_guest_without_cloud_init_gets_what_was_given_and_no_timer(given: str) -> None:
    first = firstboot.data(given, ["web"], ["ssh-ed25519 AAAA"], 1_800_000_000.0, cloud_init=False)
    assert (first.text, first.timer) == (given, False)
