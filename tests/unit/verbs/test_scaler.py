"""The controller of a group on fake clouds: what it does when, and that it never does anything twice or to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudms.balancers import book, for_group
from cloudms.context import Context
from cloudms.engine import groups
from cloudms.errors import ConfigError, NotFound
from cloudms.model import Vm
from cloudms.scaling import store
from cloudms.scaling.base import Decision
from cloudms.scaling.controller import Controller
from cloudms.scaling.ending import ended
from cloudms.scaling.file import read
from cloudms.verbs.group.scale import grown
from tests.unit.calling import Call
from tests.unit.verbs.test_lists import fake

POLICY = """\
policies:
  - {kind: threshold, metric: cpu, above: 80, window: 30s}
min: 1
max: 3
interval: 10s
on_in: stop
stabilisation: {down: 0s}
cooldown: {up: 40s, down: 40s}
"""


def vm(ctx: Context, name: str) -> Vm:
    (row,) = ctx.catalog.find("vm", name=name)
    return Vm.from_document(row.document)


def load(ctx: Context, name: str, part: float) -> None:
    found = vm(ctx, name)
    fake(ctx, found.cloud).set_load(found, part)


def states(ctx: Context, group: str = "web") -> dict[str, str]:
    return {each.name: str(each.state) for each in groups.members(ctx, group, fresh=True)}


def statuses(controller: Controller) -> dict[str, str]:
    return {each.name: each.status for each in controller.members}


class Drive:
    """A controller whose time is moved along."""

    def __init__(self, ctx: Context, group: str = "web") -> None:
        self.ctx = ctx
        self.controller = Controller(ctx, group, grown)
        self.news: list[str] = []
        self.decisions: list[Decision] = []

    def until(self, wanted: Callable[[], bool], seconds: float = 600.0) -> None:
        """Make passes until something is so, for at most so many seconds of the clock."""
        end = self.ctx.clock.now() + seconds
        while not wanted():
            assert self.ctx.clock.now() < end, "\n".join([*self.news, *(each.reason for each in self.decisions[-3:])])
            self.step()

    def step(self) -> None:
        made = self.controller.step()
        self.news += made.news
        self.decisions += [made.decision] * (made.decision is not None)
        self.ctx.clock.sleep(made.pause)

    def pass_time(self, seconds: float) -> None:
        end = self.ctx.clock.now() + seconds
        while self.ctx.clock.now() < end:
            self.step()

    def statuses(self) -> dict[str, str]:
        return statuses(self.controller)

    def serving(self) -> list[str]:
        return sorted(name for name, status in self.statuses().items() if status == "in_service")


@pytest.fixture
def policy(ctx: Context, call: Call, tmp_path: Path) -> Callable[..., None]:
    """Return a function that gives a group a policy."""

    def put(text: str = POLICY, group: str = "web", **settings: Any) -> None:
        lines = [line for line in text.splitlines() if line.partition(":")[0] not in settings]
        file = tmp_path / "policy.yaml"
        file.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in settings.items())]) + "\n")
        call("group policy set", group, file)

    return put


Policy = Callable[..., None]


@pytest.fixture
def web(ctx: Context, call: Call, policy: Policy) -> Drive:
    """Return the loop of a group of one."""
    call("group create", "web", size=1, cloud="one", image="micro")
    policy()
    return Drive(ctx)


def test_a_group_grows_under_load_and_shrinks_without(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 0.95)
    web.until(lambda: len(web.serving()) == 2)
    assert states(ctx) == {"web-1": "running", "web-2": "running"}
    load(ctx, "web-1", 0.1)
    load(ctx, "web-2", 0.1)
    web.until(lambda: web.statuses().get("web-2") == "standby")
    assert states(ctx) == {"web-1": "running", "web-2": "stopped"}
    assert not vm(ctx, "web-2").keep_stopped
    changes = [(each.action, each.size, each.clamped) for each in web.decisions if each.action != "hold"]
    assert changes == [("out", 1, 2), ("in", 2, 1)]


def test_the_standby_comes_before_a_boot(ctx: Context, web: Drive) -> None:
    test_a_group_grows_under_load_and_shrinks_without(ctx, web)
    load(ctx, "web-1", 0.95)
    web.until(lambda: len(web.serving()) == 2)
    assert states(ctx) == {"web-1": "running", "web-2": "running"}
    load(ctx, "web-2", 0.95)
    web.until(lambda: len(web.serving()) == 3)
    assert sorted(states(ctx)) == ["web-1", "web-2", "web-3"]


def test_at_its_most_it_says_so_stays_and_shrinks_later(ctx: Context, web: Drive, policy: Policy) -> None:
    policy(max=2)
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    load(ctx, "web-2", 1.0)
    web.until(lambda: "stays at its most, 2 members" in web.decisions[-1].reason)
    web.pass_time(300)
    assert len(states(ctx)) == 2
    for name in ("web-1", "web-2"):
        load(ctx, name, 0.05)
    web.until(lambda: len(web.serving()) == 1)


def test_where_nothing_can_be_booted_it_goes_on_and_shrinks_later(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    fake(ctx, "one").add_fault("no_capacity", call="create_vm*", times=0)
    load(ctx, "web-1", 1.0)
    web.until(lambda: any("it is tried again in" in text for text in web.news))
    tries = len(fake(ctx, "one").calls("create_vm"))
    web.pass_time(300)
    assert states(ctx) == {"web-1": "running"}
    assert len(fake(ctx, "one").calls("create_vm")) - tries < 8, "what fails is tried less and less often"
    assert any(each.outcome.startswith("not begun: the last try failed") for each in web.decisions)
    fake(ctx, "one").clear_faults()
    web.until(lambda: len(web.serving()) == 2)
    for name in states(ctx):
        load(ctx, name, 0.05)
    web.until(lambda: len(web.serving()) == 1)


def test_silence_holds(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    load(ctx, "web-1", 0.0)
    load(ctx, "web-2", 0.0)
    fake(ctx, "one").add_fault("denied", call="metrics", times=0)
    web.pass_time(60)
    del web.decisions[:]
    web.pass_time(300)
    assert {each.action for each in web.decisions} == {"hold"}
    assert web.decisions[-1].wished is None
    assert any("cloud" in problem for problem in web.decisions[-1].problems)
    assert len(web.serving()) == 2


def test_a_cloud_that_does_not_answer_takes_nobody_out(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    load(ctx, "web-1", 0.0)
    load(ctx, "web-2", 0.0)
    fake(ctx, "one").add_fault("unreachable", times=0)
    web.pass_time(300)
    assert len(web.serving()) == 2
    fake(ctx, "one").clear_faults()
    web.until(lambda: len(web.serving()) == 1)


def test_only_named_members_are_touched(ctx: Context, call: Call, policy: Policy) -> None:
    fake(ctx, "one").options.__dict__["foreign"] = ("vm-1", "vm-2", "customer-db")
    for name in ("vm-2", "customer-db"):
        (found,) = [each for each in call("vm list", cloud="one").items if each.name == name]
        fake(ctx, "one").stop_vm(found)
    call("vm adopt", ["vm-1", "vm-2"])
    call("group create", "web")
    call("group add", "web", ["vm-1", "vm-2"])
    policy(max=2)
    web = Drive(ctx)
    web.until(lambda: web.statuses() == {"vm-1": "in_service", "vm-2": "standby"})
    load(ctx, "vm-1", 1.0)
    web.until(lambda: web.serving() == ["vm-1", "vm-2"])
    load(ctx, "vm-2", 1.0)
    web.pass_time(120)
    assert {each.name: str(each.state) for each in fake(ctx, "one").list_vms()} == {
        "vm-1": "running", "vm-2": "running", "customer-db": "stopped",
    }  # fmt: skip
    load(ctx, "vm-1", 0.0)
    load(ctx, "vm-2", 0.0)
    policy(max=2, on_in="delete")
    web.until(lambda: len(web.serving()) == 1)
    assert sorted(states(ctx).values()) == ["running", "stopped"], "what was adopted is never deleted"


def test_what_a_person_stopped_stays_stopped(ctx: Context, call: Call, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    call("vm stop", ["web-2"])
    web.until(lambda: web.statuses().get("web-2") == "off")
    web.until(lambda: len(web.serving()) == 2)
    assert states(ctx) == {"web-1": "running", "web-2": "stopped", "web-3": "running"}
    call("vm start", ["web-2"])
    web.until(lambda: "web-2" in web.serving())


def test_what_was_switched_off_elsewhere_stays_off_until_somebody_starts_it(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    fake(ctx, "one").stop_vm(vm(ctx, "web-1"), force=True)
    web.until(lambda: web.serving() == ["web-2"])
    web.pass_time(120)
    assert states(ctx) == {"web-1": "stopped", "web-2": "running"}
    assert "web-1 is off: it was switched off, and not by the scaler" in web.news


def test_protected_members_stay(ctx: Context, call: Call, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    call("vm protect", ["web-[1-2]"])
    for name in ("web-1", "web-2"):
        load(ctx, name, 0.0)
    web.pass_time(300)
    assert len(web.serving()) == 2


@pytest.mark.parametrize("balancer", ["{}", "{kind: fake}"])
def test_one_that_fails_is_replaced_once(ctx: Context, web: Drive, policy: Policy, balancer: str) -> None:
    policy(balancer=balancer)
    web.until(lambda: web.serving() == ["web-1"])
    world = fake(ctx, "one")
    with world.store.change() as state:
        (doc,) = state["vms"].values()
        doc["timeline"] = [[ctx.clock.now(), "error", "it crashed"]]
    web.until(lambda: web.serving() == ["web-2"])
    web.until(lambda: "web-1" not in states(ctx))
    web.pass_time(300)
    assert states(ctx) == {"web-2": "running"}
    assert [each.action for each in web.decisions if each.action != "hold"] == ["replace"]


def test_a_balancer_that_died_is_started_again_and_one_that_was_ended_is_not(
    ctx: Context, call: Call, web: Drive, policy: Policy
) -> None:
    policy(balancer="{kind: fake}")
    web.until(lambda: web.serving() == ["web-1"])
    balancer = for_group(ctx, "web")
    book.write(balancer.folder, (now := book.read(balancer.folder)).with_(more={**now.more, "up": False}))
    web.until(lambda: balancer.is_up, seconds=60)
    web.pass_time(20)
    assert web.news.count("the balancer had died, and was started again") == 1
    assert any("had died" in problem for each in web.decisions for problem in each.problems)
    assert [each.name for each in balancer.servers()] == ["web-1"]
    call("balancer delete", "web")
    web.pass_time(60)
    assert not balancer.is_up


def test_another_controller_looks_on_and_goes_on_when_the_first_is_gone(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    other = Drive(ctx)
    assert not other.controller.step().mine
    assert web.controller.step().mine
    web.controller.close()
    other.until(lambda: other.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    other.until(lambda: len(other.serving()) == 2)
    assert not web.controller.step().mine


@pytest.mark.parametrize("steps", range(12))
def test_whoever_takes_over_goes_on_and_nobody_is_there_twice(ctx: Context, web: Drive, steps: int) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: store.find(ctx, "web").pending is not None)
    for _ in range(steps):
        web.step()
    ctx.clock.sleep(31)
    other = Drive(ctx)
    other.until(lambda: len(other.serving()) == 2 and store.find(ctx, "web").pending is None)
    assert states(ctx) == {"web-1": "running", "web-2": "running"}


def test_a_group_below_its_least_is_filled_up_without_data(ctx: Context, web: Drive, policy: Policy) -> None:
    policy(min=2)
    web.until(lambda: len(web.serving()) == 2 and store.find(ctx, "web").pending is None)
    group = groups.described(ctx, "web")
    assert group
    assert (group.min, group.max, group.desired) == (2, 3, 2)


def test_members_are_renewed_one_after_the_other(ctx: Context, call: Call, web: Drive, policy: Policy) -> None:
    policy(min=2)
    web.until(lambda: len(web.serving()) == 2)
    call("group roll", "web", image="debian")
    least = 2
    end = ctx.clock.now() + 600
    while any(each.image != "debian" for each in groups.members(ctx, "web", fresh=True)):
        web.step()
        least = min(least, len(web.serving()))
        assert ctx.clock.now() < end, web.news
    assert least == 2
    assert len(web.serving()) == 2
    web.until(lambda: store.find(ctx, "web").roll is None)
    assert "all members have image debian" in web.news


def test_a_roll_that_cannot_boot_leaves_the_old_ones(ctx: Context, call: Call, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    call("group roll", "web", flavor="large")
    fake(ctx, "one").add_fault("no_capacity", call="create_vm*", times=0)
    web.pass_time(200)
    assert states(ctx) == {"web-1": "running"}
    fake(ctx, "one").clear_faults()
    web.until(lambda: [each.flavor for each in groups.members(ctx, "web", fresh=True)] == ["large"])


def test_a_roll_to_what_the_cloud_does_not_have_is_refused(ctx: Context, call: Call, web: Drive) -> None:
    for asked in ({"image": "nosuch"}, {"flavor": "nosuch"}):
        with pytest.raises(NotFound, match=r"cloud 'one' has no \w+ 'nosuch'") as refused:
            call("group roll", "web", **asked)
        assert refused.value.hint
    assert store.find(ctx, "web").roll is None
    assert (group := groups.described(ctx, "web"))
    assert group.image == "micro"


def asleep(web: Drive) -> None:
    """Have three members that serve no more: a controller of before has switched them off."""
    web.until(lambda: len(web.serving()) == 3)
    web.controller.close()
    list(ended(web.ctx, "web", "stop"))


def test_members_that_sleep_stay_while_nothing_like_the_new_ones_serves(
    ctx: Context, call: Call, web: Drive, policy: Policy
) -> None:
    policy(min=3)
    asleep(web)
    policy(min=0)
    call("group roll", "web", flavor="large")
    fake(ctx, "one").add_fault("no_capacity", call="create_vm*", times=0)
    again = Drive(ctx)
    again.pass_time(200)
    assert states(ctx) == dict.fromkeys(("web-1", "web-2", "web-3"), "stopped")
    fake(ctx, "one").clear_faults()
    again.until(lambda: {each.flavor for each in groups.members(ctx, "web", fresh=True)} == {"large"})


def test_hooks_run_before_a_member_serves_and_before_it_goes(
    ctx: Context, web: Drive, policy: Policy, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$CMS_HOOK $CMS_VM $CMS_GROUP" >>{told}\n')
    script.chmod(0o755)
    policy(hooks=f"{{before_service: {script}, before_end: {{run: {script}, timeout: 20s}}}}")
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    load(ctx, "web-1", 0.0)
    load(ctx, "web-2", 0.0)
    web.until(lambda: web.statuses().get("web-2") == "standby")
    assert told.read_text().splitlines() == [
        "before_service web-1 web", "before_service web-2 web", "before_end web-2 web",
    ]  # fmt: skip


def test_a_hook_that_takes_too_long_or_fails_is_told(ctx: Context, web: Drive, policy: Policy) -> None:
    policy(hooks="{before_service: {run: sleep 30, timeout: 0.2s}}")
    web.until(lambda: web.serving() == ["web-1"])
    assert "web-1: its hook before service did not end within 0.2 s" in web.news
    policy(hooks="{before_service: {run: 'false', on_failure: abandon}}", min=2)
    web.until(lambda: web.statuses().get("web-2") == "sick")


def test_a_policy_is_shown_as_it_was_set_and_can_be_set_again(ctx: Context, call: Call, web: Drive) -> None:
    shown = call("group policy show", "web")
    assert (shown["min"], shown["max"], shown["on_in"], shown["interval"]) == (1, 3, "stop", "10s")
    assert web.controller.group == "web"
    store.put(ctx, "web", store.find(ctx, "web").settings())
    assert call("group policy show", "web") == shown


def test_history_tells_changes_and_reasons_to_stay_once(ctx: Context, call: Call, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    web.pass_time(100)
    told = call("group history", "web").items
    out = [each for each in told if each.action == "out"][-1]
    assert out.reason == "grows from 1 to 2 members: cpu was 100% over 30s, above 80%"
    assert out.outcome.startswith("done after")
    assert out.inputs[0]["value"] == pytest.approx(100)
    assert len(call("group history", "web", all=True, limit=0).items) > len(told)


def test_a_policy_is_tried_on_what_was_measured(ctx: Context, call: Call, web: Drive, tmp_path: Path) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 0.6)
    web.pass_time(200)
    assert call("group policy test", "web").items == ()
    other = tmp_path / "other.yaml"
    other.write_text(POLICY.replace("above: 80", "above: 50"))
    found = call("group policy test", "web", other).items
    assert (found[0].action, found[0].size, found[0].clamped) == ("out", 1, 2)
    assert states(ctx) == {"web-1": "running"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("policies: [{kind: threshhold}]", "line 1: policies.0.kind cannot be 'threshhold'"),
        ("policies: []\nmin: 3\nmax: 2", "line 2: min is 3, and max is 2"),
        (
            "policies: [{kind: threshold, metric: queue}]",
            "'queue' is measured by the balancer, and the policy has none",
        ),
        ("sources: {command: {run: ''}}", "line 1: sources.command.run"),
        ("sources: {clowd: {}}", "line 1: sources.clowd is no source"),
        ("hooks: {before_servise: x}", "line 1: hooks.before_servise is not known"),
        ("balancer: {prot: 1}", "line 1: balancer: a balancer has no setting 'prot'"),
        ("balancer: {1: 1}", "line 1: balancer: a balancer has no setting '1'"),
        ("min: 1\nbalancer:\n  port: 0", "line 3: balancer: port 0 is not between 1 and 65535"),
        ("min: 1\nbalancer:\n  timeout: true", "line 3: balancer: timeout: 'True' is not a duration"),
        ("min: 1\nbalancer:\n  timeout: soon", "line 3: balancer: timeout: 'soon' is not a duration"),
        ("balancer: {check: nowhere}", "line 1: balancer: check 'nowhere' is no path"),
        ("balancer: {address: here}", "line 1: balancer: 'here' is no address"),
        (f"balancer: {{slots: {'9' * 400}}}", "line 1: balancer: slots 999"),
        ("balancer: {kind: nginx}", "line 1: balancer.kind cannot be 'nginx'"),
        ("sources: {cloud: {metrics: 5}}", "line 1: sources.cloud.metrics cannot be '5'"),
        ("sources: {ssh: {metrics: true}}", "line 1: sources.ssh.metrics cannot be 'True'"),
        ("", "says nothing"),
        ("# policies: []", "says nothing"),
        ("on_in: explode", "line 1: on_in cannot be 'explode'"),
        ("- 1", "policy.yaml:1: the file is a list"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text + "\n")
    with pytest.raises(ConfigError) as raised:
        read(file)
    assert message in raised.value.message
    assert raised.value.code == "config"


def test_a_calm_loop_waits(ctx: Context, web: Drive) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    web.pass_time(60)
    assert web.controller.step().pause >= 1


def test_standbys_are_kept_ready_up_to_the_most(ctx: Context, web: Drive, policy: Policy) -> None:
    policy(standby=2, on_in="suspend")
    web.until(lambda: sorted(web.statuses().values()) == ["in_service", "standby", "standby"])
    assert sorted(states(ctx).values()) == ["running", "suspended", "suspended"]
    web.pass_time(100)
    assert len(states(ctx)) == 3
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    web.pass_time(60)
    assert len(states(ctx)) == 3, "there is no room for more"


@pytest.mark.parametrize("jump", [7200.0, -200.0])
def test_a_clock_that_jumps_neither_ends_nor_begins_anything(
    ctx: Context, web: Drive, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    load(ctx, "web-1", 1.0)
    web.until(lambda: len(web.serving()) == 2)
    web.pass_time(300)  # the pretended machines live by the same clock, and are to have begun before
    true = ctx.clock.now
    monkeypatch.setattr(ctx.clock, "now", lambda: true() + jump)
    end = true() + 100
    del web.decisions[:]
    while true() < end:
        web.step()
    assert len(web.serving()) == 2
    assert any("the clock went" in text for text in web.news)
    assert len(web.decisions) >= 5, "it looks on all the same"
    assert {each.action for each in web.decisions} == {"hold"}


def test_a_bug_in_one_pass_does_not_end_the_service(ctx: Context, web: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    web.until(lambda: web.serving() == ["web-1"])
    broken = [KeyError("who")]
    known = web.controller._known

    def once() -> Any:
        if broken:
            raise broken.pop()
        return known()

    monkeypatch.setattr(web.controller, "_known", once)
    load(ctx, "web-1", 1.0)
    passes = web.controller.passes()
    told = [text for made in (next(passes) for _ in range(30)) for text in made.news]
    assert "bug in cloudms: KeyError: 'who'; going on from what is written down" in told
    assert "web-2 takes requests" in " ".join(told)
