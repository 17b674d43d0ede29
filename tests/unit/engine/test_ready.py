"""Waiting until a VM is ready."""

from __future__ import annotations

import pytest

from cloudms import ssh
from cloudms.clock import ManualClock
from cloudms.clouds.fake import FakeCloud
from cloudms.context import Context
from cloudms.model import Vm
from tests.unit.calling import Call


def test_a_slow_ssh_server_gets_more_time_for_its_banner(
    ctx: Context, call: Call, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []

    def answers(_host: str, _port: int, timeout: float | None = None) -> bool:
        asked.append(timeout)
        clock.sleep(timeout or 0.25)
        return (timeout or 0.25) > 6

    monkeypatch.setattr(ssh, "answers", answers)
    monkeypatch.setattr(ssh, "run", lambda *_args, **_more: ssh.Result(exit=0))
    monkeypatch.setattr(FakeCloud, "ready", lambda _cloud, _vm: None)
    assert call("vm boot", name="web", wait="ready", timeout=600.0).steps[0].state == "done"
    assert asked[0] is None
    given = [each for each in asked if each is not None]
    assert given == sorted(given)
    assert 2.0 <= given[0] < 3.0


BOOTED = "Linux\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@web\n-----END SSH HOST KEY KEYS-----\n"


@pytest.mark.parametrize("earlier", ["", BOOTED])
@pytest.mark.parametrize(
    ("forwarded", "keys", "fewest", "most"),
    [(True, True, 15, 25), (True, False, 35, 50), (False, True, 60, 80)],
)
def test_a_guest_behind_a_forward_is_knocked_at_rarely_until_it_has_printed_its_host_keys(
    call: Call,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    earlier: str,
    forwarded: bool,
    keys: bool,
    fewest: int,
    most: int,
) -> None:
    begun, knocks = clock.monotonic(), 0

    def answers(host: str, _port: int, timeout: float | None = None) -> bool:
        nonlocal knocks
        knocks += 1
        clock.sleep(0.25)
        return clock.monotonic() - begun > (20 if keys else 50)

    def console(_cloud: FakeCloud, _vm: Vm) -> str:
        printed = keys and clock.monotonic() - begun > 19
        return earlier + "Linux\n" + BOOTED * printed

    monkeypatch.setattr(ssh, "answers", answers)
    monkeypatch.setattr(ssh, "run", lambda *_args, **_more: ssh.Result(exit=0))
    monkeypatch.setattr(FakeCloud, "ready", lambda _cloud, _vm: None)
    monkeypatch.setattr(FakeCloud, "console_log", console)
    if not forwarded:
        monkeypatch.setattr("cloudms.engine.ready._Console.text", lambda _console, _vm: None)
    assert call("vm boot", name="web", wait="ready", timeout=600.0).steps[0].state == "done"
    assert fewest <= knocks <= most
