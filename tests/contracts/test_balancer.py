"""The contract of a balancer: every rule of `balancers.base`, on every balancer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer_subjects import MISSING, SUBJECTS, HaproxyStand, Stand
from tests.members import Asking, ask

from cloudms import registry
from cloudms.balancers.base import STATUSES, Balancer, Server
from cloudms.errors import Exists, Invalid, NoCapacity, NotFound, NotReady


@pytest.fixture(params=SUBJECTS)
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """Return each balancer in a folder of its own, of which nothing is left."""
    why = MISSING.get(request.param, str)()
    if why:
        pytest.skip(why)
    made = SUBJECTS[request.param](tmp_path / "balancers" / "web")
    yield made
    made.close()


@pytest.fixture
def up(stand: Stand) -> Balancer:
    """Return a balancer that is up."""
    balancer = stand.open()
    balancer.up()
    return balancer


def put(stand: Stand, balancer: Balancer, *names: str) -> None:
    """Let members be given requests."""
    for name in names:
        balancer.add(name, *stand.member(name))
        balancer.ready(name)
    stand.eventually(lambda: all(server(balancer, name).takes for name in names))


def server(balancer: Balancer, name: str) -> Server:
    """Return one member."""
    (found,) = (each for each in balancer.servers() if each.name == name)
    return found


def who(stand: Stand, times: int = 8) -> set[str]:
    """Return who answers some requests."""
    return {stand.ask() for _ in range(times)}


def real(stand: Stand) -> HaproxyStand:
    """Return a stand whose members are asked over the network; a pretended one has nothing to show."""
    if not isinstance(stand, HaproxyStand):
        pytest.skip("no request is sent here")
    return stand


def test_every_balancer_is_tested() -> None:
    assert set(SUBJECTS) == set(registry.FAMILIES["cloudms.balancers"])
    for kind in SUBJECTS:
        assert registry.load("cloudms.balancers", kind).kind == kind


def test_before_it_is_up_it_knows_nothing(stand: Stand) -> None:
    balancer = stand.open()
    assert not balancer.is_up
    calls = [
        lambda: balancer.address, balancer.servers, balancer.stats, lambda: balancer.add("a", "127.0.0.1", 1),
        lambda: balancer.ready("a"), lambda: balancer.drain("a"), lambda: balancer.remove("a"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotReady) as refused:
            call()
        assert refused.value.hint
    assert not stand.left()


def test_up_twice_is_up(stand: Stand, up: Balancer) -> None:
    address = up.address
    assert up.is_up
    assert address[0].startswith("127.") and address[1] == 8080
    stand.open().up()
    assert stand.open().address == address
    assert up.servers() == []
    assert stand.ask() == ""


def test_a_member_gets_nothing_before_it_is_ready(stand: Stand, up: Balancer) -> None:
    up.add("a", *stand.member("a"))
    stand.eventually(lambda: server(up, "a").check == "ok")
    assert server(up, "a").status == "added"
    assert who(stand) == {""}
    up.ready("a")
    stand.eventually(lambda: server(up, "a").takes)
    assert who(stand) == {"a"}


def test_ready_members_share_the_requests(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a", "b", "c")
    assert [each.name for each in up.servers()] == ["a", "b", "c"]
    assert all(each.status in STATUSES and each.slots == 4 for each in up.servers())
    assert who(stand, 12) == {"a", "b", "c"}


def test_a_drained_member_ends_what_it_has(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a")
    answered = stand.busy("a")
    assert stand.eventually(lambda: server(up, "a").sessions) == 1
    up.drain("a")
    put(stand, up, "b")
    assert who(stand) == {"b"}
    assert (server(up, "a").status, server(up, "a").sessions) == ("draining", 1)
    assert answered()
    assert stand.eventually(lambda: server(up, "a").sessions == 0)
    up.ready("a")
    assert stand.eventually(lambda: "a" in who(stand))


def test_a_removed_member_is_forgotten_and_ends_what_it_has(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a")
    answered = stand.busy("a")
    up.remove("a")
    assert up.servers() == []
    assert stand.ask() == ""
    put(stand, up, "b")
    assert (server(up, "b").sessions, who(stand)) == (0, {"b"})
    assert answered()


def test_what_is_already_so_is_success(stand: Stand, up: Balancer) -> None:
    for _time in range(2):
        up.add("a", *stand.member("a"))
    for _time in range(2):
        up.ready("a")
    stand.eventually(lambda: server(up, "a").takes)
    up.add("a", *stand.member("a"))
    assert who(stand) == {"a"}, "adding a member again takes nothing from it"
    for _time in range(2):
        up.drain("a")
    assert who(stand) == {""}
    for _time in range(2):
        up.remove("a")


def test_a_member_that_is_not_there_is_told(up: Balancer) -> None:
    for call in (up.ready, up.drain):
        with pytest.raises(NotFound, match="nobody"):
            call("nobody")
    up.remove("nobody")


def test_another_process_sees_and_does_the_same(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a")
    other = stand.open()
    assert [each.name for each in other.servers()] == ["a"]
    other.drain("a")
    assert server(up, "a").status == "draining"
    other.remove("a")
    assert up.servers() == []


def test_a_member_that_is_unwell_is_left_out_until_it_is_well(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a", "b")
    stand.well("a", well=False)
    stand.eventually(lambda: server(up, "a").status == "down")
    assert server(up, "a").check not in ("ok", "unknown")
    assert who(stand) == {"b"}
    stand.well("a", well=True)
    stand.eventually(lambda: server(up, "a").takes)
    assert stand.eventually(lambda: "a" in who(stand))


def test_a_member_that_moved_is_asked_where_it_is_now(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a")
    up.add("a", *stand.member("elsewhere"))
    stand.eventually(lambda: server(up, "a").takes)
    assert server(up, "a").port == stand.member("elsewhere")[1]
    if stand.real:
        assert who(stand) == {"elsewhere"}


def test_no_more_members_than_it_has_room_for(stand: Stand) -> None:
    balancer = stand.open(most=2)
    balancer.up()
    for name in "ab":
        balancer.add(name, *stand.member(name))
    with pytest.raises(NoCapacity):
        balancer.add("c", *stand.member("c"))
    balancer.remove("a")
    balancer.add("c", *stand.member("c"))
    assert [each.name for each in balancer.servers()] == ["b", "c"]


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [("", "127.0.0.1", 80), ("a b", "127.0.0.1", 80), ("a;b", "127.0.0.1", 80), ("a\nb", "127.0.0.1", 80),
     ("a", "", 80), ("a", "127.0.0.1 80\nshow", 80), ("a", "127.0.0.1", 0), ("a", "127.0.0.1", 70000)],
)  # fmt: skip
def test_what_is_no_member_is_refused(up: Balancer, name: str, host: str, port: int) -> None:
    with pytest.raises(Invalid):
        up.add(name, host, port)
    assert up.servers() == []


def test_after_its_process_died_all_is_as_it_was(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a", "b")
    up.drain("b")
    up.add("c", *stand.member("c"))
    address = up.address
    stand.died()
    assert not up.is_up
    with pytest.raises(NotReady):
        up.servers()
    stand.open().up()
    assert up.address == address
    stand.eventually(lambda: server(up, "a").takes)
    assert [each.status for each in up.servers()] == ["ready", "draining", "added"]
    assert who(stand) == {"a"}


def test_other_settings_change_it_and_keep_its_members(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a", "b")
    up.drain("b")
    address = up.address
    changed = stand.open(port=8090, slots=2, most=5, idempotent=True)
    changed.up()
    assert changed.address == (address[0], 8090)
    assert [each.status for each in changed.servers()] == ["ready", "draining"]
    assert who(stand) == {"a"}
    changed.add("c", *stand.member("c"))
    assert server(changed, "c").slots == 2


def test_down_leaves_nothing(stand: Stand, up: Balancer) -> None:
    put(stand, up, "a")
    address = up.address
    up.down()
    assert not stand.left()
    assert not up.is_up
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex(address) != 0
    up.down()
    up.up()
    assert up.servers() == []


def test_requests_are_counted(stand: Stand, up: Balancer) -> None:
    before = up.stats()
    assert (before.requests, before.queue, before.servers, before.busy) == (0, 0, (), None)
    put(stand, up, "a")
    for _time in range(5):
        assert stand.ask() == "a"
    after = up.stats()
    assert after.requests == 5
    assert [each.name for each in after.servers] == ["a"]
    assert (after.slots, after.busy) == (4, 0.0)


def test_a_new_member_is_counted_from_nothing(stand: Stand, up: Balancer) -> None:
    stand = real(stand)
    put(stand, up, "a")
    for _time in range(7):
        stand.ask()
    assert server(up, "a").requests == 7
    up.remove("a")
    put(stand, up, "b")
    assert (server(up, "b").requests, server(up, "b").latency) == (0, None)
    stand.ask()
    stand.eventually(lambda: server(up, "b").latency is not None)
    assert server(up, "b").requests == 1
    stand.open(slots=2).up()
    assert server(up, "b").requests == 0, "the process that took over has counted nothing yet"
    stand.ask()
    assert server(up, "b").requests == 1


def test_what_was_asked_is_measured(stand: Stand, up: Balancer) -> None:
    stand = real(stand)
    put(stand, up, "a")
    assert up.stats().p50 is None
    for _time in range(20):
        stand.ask()
    stand.members["a"].well = False
    stand.eventually(lambda: server(up, "a").status == "down")
    assert ask(up.address, method="GET")[0] == 503
    told = up.stats(window=60.0)
    assert told.p50 is not None and told.p95 is not None and told.mean is not None
    assert 0 <= told.p50 <= told.p95 < 60
    assert round(told.errors, 1) == round(100 / 21, 1)
    assert told.answered > 0
    assert told.servers[0].requests == 20


def test_what_is_above_the_slots_waits(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(slots=1)
    balancer.up()
    put(stand, balancer, "a")
    answered = stand.busy("a")
    waiting = Asking(balancer.address, "/")
    told = stand.eventually(lambda: next((s for s in [balancer.stats()] if s.queue), None))
    assert (told.queue, told.sessions, told.busy) == (1, 1, 100.0)
    assert len(stand.members["a"].got) == 1
    assert waiting.result is None
    put(stand, balancer, "b")
    assert ask(balancer.address) == (200, "b"), "a free slot is not kept from who comes later"
    assert answered()
    assert waiting.answer()[0] == 200


def test_a_member_may_have_slots_of_its_own(stand: Stand, up: Balancer) -> None:
    up.add("a", *stand.member("a"), slots=9)
    up.ready("a")
    assert server(up, "a").slots == 9
    stand.eventually(lambda: up.stats().slots == 9)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_was_dropped_is_given_to_another_when_that_is_safe(stand: Stand, method: str) -> None:
    stand = real(stand)
    balancer = stand.open(idempotent=True)
    balancer.up()
    put(stand, balancer, "a", "b")
    for member in stand.members.values():
        member.drops = 1
    for number in range(8):
        assert ask(balancer.address, method=method, body=f"id-{number}")[0] == 200
    got = stand.members["a"].got + stand.members["b"].got
    assert len(got) == 10
    assert {f"id-{number}" for number in range(8)} == set(got), "the whole request is given on"
    assert balancer.stats().retries > 0


def test_a_request_that_is_not_safe_twice_is_given_to_nobody_else(stand: Stand, up: Balancer) -> None:
    stand = real(stand)
    put(stand, up, "a", "b")
    for member in stand.members.values():
        member.drops = 1
    results = [ask(up.address, body=f"id-{number}")[0] for number in range(6)]
    got = stand.members["a"].got + stand.members["b"].got
    assert sorted(got) == [f"id-{number}" for number in range(6)], "each came to one member only"
    assert results.count(200) == 4 and len(results) - results.count(200) == 2
    stand.members["a"].drops = stand.members["b"].drops = 0
    stand.members["a"].drops = 1
    assert {ask(up.address, method="GET")[0] for _time in range(6)} == {200}, "a GET is safe by its method"


def test_a_member_that_cannot_be_reached_costs_no_request(stand: Stand, up: Balancer) -> None:
    stand = real(stand)
    put(stand, up, "a", "b")
    stand.members["a"].stop()
    assert {ask(up.address, body=f"id-{number}") for number in range(12)} == {(200, "b")}


def test_a_request_waits_while_no_member_is_ready(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(hold=60.0)
    balancer.up()
    asking = [Asking(balancer.address, "/", body=f"id-{number}") for number in range(5)]
    stand.eventually(lambda: balancer.stats().queue == 5)
    balancer.add("a", *stand.member("a"))
    assert [each.result for each in asking] == [None] * 5
    balancer.ready("a")
    assert {each.answer() for each in asking} == {(200, "a")}
    assert sorted(stand.members["a"].got) == [f"id-{number}" for number in range(5)]
    told = stand.eventually(
        lambda: next((s for s in [balancer.stats(600.0)] if s.queue == 0 and s.sessions == 0), None)
    )
    assert (told.requests, told.errors) == (5, 0.0), "each is one request, however long it waited"


def test_a_request_is_refused_when_it_has_waited_in_vain(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(hold=0.3, idempotent=True)
    balancer.up()
    assert ask(balancer.address) == (503, "")
    assert ask(balancer.address, method="GET") == (503, "")
    told = balancer.stats(600.0)
    assert (told.requests, told.errors, told.retries) == (2, 100.0, 0)


def test_what_the_only_member_dropped_waits_for_the_next(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(hold=60.0, idempotent=True)
    balancer.up()
    put(stand, balancer, "a")
    asking = [Asking(balancer.address, body=f"id-{number}") for number in range(3)]
    stand.eventually(lambda: len(stand.members["a"].got) == 3)
    stand.members["a"].die()
    stand.eventually(lambda: server(balancer, "a").status == "down")
    put(stand, balancer, "b")
    stand.members["b"].gate.set()
    assert {each.answer() for each in asking} == {(200, "b")}
    assert sorted(stand.members["b"].got) == ["id-0", "id-1", "id-2"]


def test_a_member_that_takes_requests_and_drops_them_swallows_none(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(idempotent=True, slots=1, interval=600.0)  # its check tells nothing for long
    balancer.up()
    put(stand, balancer, "a", "b", "c")
    stand.members["a"].die()
    answers = [each.answer() for each in [Asking(balancer.address, "/", body=f"id-{n}") for n in range(40)]]
    assert {status for status, _member in answers} == {200}, "though the others are full, and it alone is free"
    assert server(balancer, "a").status == "down"


def test_errors_of_a_service_are_passed_on_and_take_no_group_down(stand: Stand) -> None:
    stand = real(stand)
    balancer = stand.open(hold=60.0, idempotent=True)
    balancer.up()
    put(stand, balancer, "a", "b")
    for _time in range(12):
        assert ask(balancer.address, "/error")[0] == 500
        assert ask(balancer.address, "/")[0] == 200


def test_an_address_that_is_taken_is_told(stand: Stand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(Exists, match="taken"):
            stand.open(address="127.0.0.1", port=port).up()
    assert not stand.open().is_up


def test_of_two_that_are_started_at_once_at_one_address_one_is_up(stand: Stand, tmp_path: Path) -> None:
    made = real(stand)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    other = type(made)(tmp_path / "balancers" / "two")
    both = [each.open(address="127.0.0.1", port=port) for each in (made, other)]
    refused = []

    def up(balancer: Balancer) -> None:
        try:
            balancer.up()
        except Exists as error:
            refused.append(error)

    try:
        threads = [threading.Thread(target=up, args=(each,)) for each in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.is_up for each in both) == [False, True]
        assert len(refused) == 1
    finally:
        other.close()


def test_an_address_of_ones_own_is_taken_when_the_first_is_not_free(stand: Stand, up: Balancer) -> None:
    first = up.address
    up.down()
    with socket.create_server(first):
        up.up()
        assert up.address != first
        put(stand, up, "a")
        assert who(stand) == {"a"}


def test_an_address_of_another_machine_is_refused(stand: Stand) -> None:
    with pytest.raises(Invalid, match=r"192\.0\.2\.1"):
        stand.open(address="192.0.2.1").up()
