"""Several clouds in one command: side by side, as long as the slowest, and one that is dead hides nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudms.catalog.memory import MemoryCatalog
from cloudms.context import Context
from cloudms.doors.outcome import of_listing, of_operation
from cloudms.errors import Invalid, NotFound, NotReady
from cloudms.model import Operation, OperationState, VmState
from cloudms.verb import parameters
from tests.house.commands import built_in
from tests.unit.calling import Call, calling
from tests.unit.together import Together
from tests.unit.verbs.test_lists import fake

SECONDS = {"near": 3.0, "far": 7.0, "moon": 20.0}
CONFIG = """\
cloudmesh:
  profile: {user: alice}
  default: {cloud: near}
  cloud:
    local: {cm: {active: false, kind: fake}}
"""
CLOUD = """\
    %(name)s:
      cm: {active: true, kind: fake}
      default: {image: %(image)s, ttl: never}
      boot_seconds: %(seconds)s
      stop_seconds: %(seconds)s
      delete_seconds: %(seconds)s
"""
IMAGES = {"near": "micro", "far": "debian", "moon": "ubuntu-24.04"}


class House:
    """Three pretended clouds, of which each takes its own time for everything, and what is done with them."""

    def __init__(self, folder: Path, catalog: MemoryCatalog | None = None) -> None:
        self.folder = folder
        self.clock = Together()
        self.catalog = catalog or MemoryCatalog()
        self.write()

    def write(self, extra: str = "") -> None:
        """Write the configuration, and begin anew with it."""
        text = CONFIG
        for name, seconds in SECONDS.items():
            text += CLOUD % {"name": name, "image": IMAGES[name], "seconds": seconds}
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "cloudmesh.yaml").write_text(text + extra)
        self.ctx = Context(catalog=self.catalog, clock=self.clock)
        self.call: Call = calling(self.ctx)

    def took(self, parties: int, words: str, *args: Any, **options: Any) -> tuple[Any, float]:
        """Return what a command gives, and how long it takes, with so many clouds at work at the same time."""
        found: list[Any] = []
        seconds = self.clock.took(parties, lambda: found.append(self.call(words, *args, **options)))
        return found[0], seconds

    def kill(self, cloud: str) -> None:
        """Let a cloud answer nobody any more."""
        fake(self.ctx, cloud).add_fault("unreachable", times=0)


@pytest.fixture
def house(own_home: Path) -> House:
    """Return three clouds, which take 3, 7 and 20 seconds."""
    return House(own_home / ".cloudmesh")


ALL = "near,far,moon"
SLOWEST = SECONDS["moon"]


def is_slowest(seconds: float, slowest: float = SLOWEST) -> bool:
    """Whether something took as long as the slowest cloud, and the looks at it."""
    return slowest <= seconds < slowest + 1.0 < sum(SECONDS.values())


def test_a_boot_takes_as_long_as_the_slowest(house: House) -> None:
    operation, seconds = house.took(3, "vm boot", cloud=ALL)
    assert operation.state is OperationState.DONE
    assert is_slowest(seconds)
    made = {step.cloud: step.result for step in operation.steps}
    assert {cloud: vm["image"] for cloud, vm in made.items()} == IMAGES


def test_prices_are_asked_on_all_clouds_at_once(house: House) -> None:
    for cloud, seconds in SECONDS.items():
        fake(house.ctx, cloud).add_fault("slow", "price", seconds=seconds, times=0)
    _plan, seconds = house.took(3, "vm boot", cloud=ALL, dry_run=True)
    assert seconds == SLOWEST


def test_lists_take_as_long_as_the_slowest(house: House) -> None:
    house.call("vm boot", cloud=ALL, label={"course": "cs1"}, wait="none")
    for cloud, seconds in SECONDS.items():
        fake(house.ctx, cloud).add_fault("slow", "list_vms", seconds=seconds, times=0)
    for words in ("vm list", "vm status", "vm refresh"):
        listing, seconds = house.took(3, words)
        assert [vm.cloud for vm in listing.items] == ["far", "moon", "near"]
        assert seconds == SLOWEST
    listing, seconds = house.took(2, "vm list", cloud="near,far")
    assert ({vm.cloud for vm in listing.items}, seconds) == ({"near", "far"}, SECONDS["far"])
    assert len(house.took(3, "vm list", label={"course": "cs1"})[0].items) == 3


@pytest.mark.parametrize("words", ["vm stop", "vm delete"])
def test_a_change_by_label_takes_as_long_as_the_slowest(house: House, words: str) -> None:
    house.took(3, "vm boot", cloud=ALL, label={"course": "cs1"})
    house.took(3, "vm boot", cloud=ALL)
    operation, seconds = house.took(3, words, label={"course": "cs1"})
    assert operation.state is OperationState.DONE
    assert {step.cloud for step in operation.steps} == set(SECONDS)
    assert is_slowest(seconds)
    if words == "vm stop":
        names = [step.target for step in operation.steps]
        started, seconds = house.took(3, "vm start", names)
        assert {step.result["state"] for step in started.steps} == {"running"}
        assert is_slowest(seconds)


def test_a_list_of_clouds_narrows_a_change(house: House) -> None:
    house.took(3, "vm boot", cloud=ALL, label={"course": "cs1"})
    operation, _seconds = house.took(2, "vm stop", cloud="near, far,near", label={"course": "cs1"})
    assert sorted(step.cloud for step in operation.steps) == ["far", "near"]


def test_names_are_different_on_all_clouds(house: House) -> None:
    web = house.call("vm boot", cloud=ALL, name="web", wait="none")
    assert [(step.cloud, step.target) for step in web.steps] == [("near", "web-1"), ("far", "web-2"), ("moon", "web-3")]
    more = house.call("vm boot", cloud="near,far", name="web", count=2, wait="none")
    assert [step.target for step in more.steps] == ["web-4", "web-5", "web-6", "web-7"]
    planned = [step.target for step in house.call("vm boot", cloud=ALL, count=2, dry_run=True).steps]
    assert [name.rpartition("-")[0] for name in planned] == [f"alice-{cloud}" for cloud in SECONDS for _ in "12"]
    assert len({name.rpartition("-")[2] for name in planned}) == 6
    assert [step.target for step in house.call("vm boot", cloud=ALL, count=2, wait="none").steps] == planned


@pytest.mark.parametrize("schema", ["{user}", "{user}-{counter:03}", "{cloud}"])
def test_every_pattern_gives_different_names(house: House, schema: str) -> None:
    house.call("set", [f"name.schema={schema}"])
    planned = [step.target for step in house.call("vm boot", cloud="near,far", dry_run=True).steps]
    booted = house.call("vm boot", cloud="near,far", wait="none")
    assert [step.target for step in booted.steps] == planned
    assert len(set(planned)) == 2


def test_an_image_that_not_all_have_is_refused_before_anything(house: House) -> None:
    with pytest.raises(NotFound) as caught:
        house.call("vm boot", "no-such", cloud="near,far", flavor="huge")
    assert caught.value.message == (
        "cloud 'near' has no image 'no-such', cloud 'near' has no flavor 'huge', "
        "cloud 'far' has no image 'no-such', cloud 'far' has no flavor 'huge'"
    )
    assert "leave the image and the flavor out" in caught.value.hint
    assert caught.value.details == {"lacking": {"near": ["image", "flavor"], "far": ["image", "flavor"]}}
    with pytest.raises(NotFound, match="has no location 'mars'"):
        house.call("vm boot", cloud="near,far", region="mars")
    assert not house.ctx.catalog.find("vm")
    assert not house.ctx.catalog.find("operation")


def test_the_cloud_that_lacks_an_image_is_named_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    near = fake(house.ctx, "near")

    def refused(name: str, _flavor: str = "", _region: str = "") -> None:
        raise NotFound(f"there is no {name}")

    monkeypatch.setattr(near, "find_image", refused)
    with pytest.raises(NotFound) as caught:
        house.call("vm boot", "debian", cloud="near,far")
    assert caught.value.message == "cloud 'near' has no image 'debian'"
    assert [step.cloud for step in house.call("vm boot", "debian", cloud="far,moon", dry_run=True).steps] == [
        "far",
        "moon",
    ]


def test_a_cloud_without_a_default_image_is_named(house: House) -> None:
    house.write("    bare: {cm: {active: true, kind: fake}}\n    empty: {cm: {active: true, kind: fake}}\n")
    with pytest.raises(Invalid, match="clouds 'bare', 'empty' have no default image"):
        house.call("vm boot", cloud="near,bare,empty")
    with pytest.raises(Invalid, match="cloud 'bare' has no default image"):
        house.call("vm boot", cloud="bare")


def lists() -> list[str]:
    """Return the commands that list what clouds have."""
    found = []
    for entry in built_in().verbs:
        known = {p.name: p for p in parameters(entry.load())}
        reads = not entry.changes and "refresh" in known and not any(p.required for p in known.values())
        found += [" ".join(entry.path)] if reads and "cloud" in known else []
    return found


@pytest.mark.parametrize("words", lists())
def test_a_list_of_clouds_narrows_every_list(house: House, words: str) -> None:
    first, second = (house.call(words, cloud=clouds) for clouds in ("near,far", "far, near,far"))
    if words in ("inventory", "ssh-config"):
        assert list(first) == list(second)
    else:
        assert first.items == second.items
    asked = {cloud: bool(fake(house.ctx, cloud).calls()) for cloud in SECONDS}
    assert not asked["moon"]


def test_events_of_several_clouds_come_the_newest_first(house: House) -> None:
    for cloud in ("near", "far", "moon", "near"):
        house.call("vm boot", cloud=cloud, wait="none")
        house.clock.base += 1
    events = house.call("event list", cloud="near,moon").items
    assert {event.cloud for event in events} == {"near", "moon"}
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    assert [event.cloud for event in house.call("event list", cloud="near,moon", limit=2).items] == ["near", "near"]


@pytest.mark.parametrize("words", [",", " , "])
def test_a_list_of_no_clouds_is_refused(house: House, words: str) -> None:
    for verb in ("vm list", "vm boot"):
        with pytest.raises(Invalid, match="names no cloud"):
            house.call(verb, cloud=words)


def test_too_many_of_all_clouds_together_are_refused(house: House) -> None:
    with pytest.raises(Invalid, match="1200 VMs are more than 1000"):
        house.call("vm boot", cloud=ALL, count=400)


def told(operation: Operation) -> tuple[int, list[str]]:
    """Return the exit code of an operation, and the clouds whose steps failed."""
    problem = of_operation(operation)
    return problem.exit_code if problem else 0, sorted(s.cloud for s in operation.steps if s.state == "failed")


def test_a_boot_keeps_what_came_and_names_the_dead_cloud(house: House) -> None:
    house.kill("far")
    operation, seconds = house.took(0, "vm boot", "debian", cloud=ALL)
    assert told(operation) == (12, ["far"])
    assert operation.state is OperationState.PARTIAL
    assert is_slowest(seconds)
    running = {vm.cloud: vm.state for vm in house.call("vm list", cached=True).items}
    assert (running["near"], running["moon"]) == (VmState.RUNNING, VmState.RUNNING)
    errors = {step.cloud: (step.error or {}).get("code") for step in operation.steps}
    assert errors["far"] == "not_ready"


def test_a_list_names_the_dead_cloud_and_shows_the_others(house: House) -> None:
    house.took(3, "vm boot", cloud=ALL)
    house.kill("far")
    for words, asked in (("vm list", ALL), ("vm status", ""), ("vm list", "far,moon")):
        listing = house.call(words, cloud=asked)
        assert list(listing.failed) == ["far"]
        problem = of_listing(listing, house.ctx.cloud_names(asked))
        assert problem
        assert (problem.exit_code, "far" in problem.message) == (12, True)
        assert "moon" in {vm.cloud for vm in listing.items}


Deed = Callable[[House], Operation]
DEEDS: dict[str, Deed] = {
    "stop": lambda house: house.call("vm stop", label={"course": "cs1"}),
    "start": lambda house: house.call("vm start", label={"course": "cs1"}, cloud=ALL),
    "reboot": lambda house: house.call("vm reboot", label={"course": "cs1"}),
    "delete": lambda house: house.call("vm delete", label={"course": "cs1"}),
    "delete by name": lambda house: house.call("vm delete", ["web-[1-3]"]),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_a_change_is_done_on_the_others_and_names_the_dead_cloud(house: House, deed: str) -> None:
    house.took(3, "vm boot", name="web", cloud=ALL, label={"course": "cs1"})
    house.kill("far")
    operation = DEEDS[deed](house)
    assert told(operation) == (12, ["far"])
    assert {step.cloud for step in operation.steps if step.state == "done"} == {"near", "moon"}


def test_a_silent_cloud_whose_vms_nobody_knows_is_named_too(house: House) -> None:
    house.took(2, "vm boot", cloud="near,far", label={"course": "cs1"})
    house.kill("moon")
    operation = house.call("vm stop", label={"course": "cs1"})
    assert told(operation) == (12, ["moon"]), "it may have VMs with this label"
    assert [step.action for step in operation.steps] == ["vm.stop", "vm.stop", "vm.unseen"]
    with pytest.raises(NotReady, match="on the clouds that answer; moon did not"):
        house.call("vm delete", label={"course": "cs2"}, missing_ok=True)
    fake(house.ctx, "moon").clear_faults()
    again = house.call("operation resume", operation.name)
    assert again.state is OperationState.DONE, "the cloud answers now, and has none of them"


def test_what_a_silent_cloud_had_after_all_is_told_by_the_resume(house: House) -> None:
    house.took(2, "vm boot", cloud="near,moon", label={"course": "cs1"})
    other = House(house.folder.parent / "other")
    other.folder = house.folder
    other.write()
    other.kill("moon")
    operation = other.call("vm stop", label={"course": "cs1"})
    assert told(operation) == (12, ["moon"])
    fake(other.ctx, "moon").clear_faults()
    again = other.call("operation resume", operation.name)
    assert told(again) == (12, ["moon"])
    assert "run the command again" in str(again.steps[-1].error)
    assert told(other.call("vm stop", label={"course": "cs1"})) == (0, [])
