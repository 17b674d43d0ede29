"""Load on the licence-plate service while its processes are killed and stopped, and the lines of its pages."""

from __future__ import annotations

import json
import re
import shlex
import signal
from pathlib import Path

import pexpect
import pytest

from tests.house.source import DOCS
from tests.house.typed import lines_of
from tests.live.plates import CMS, Desk, answered, free_port, kill, sent, until

pytestmark = [pytest.mark.live, pytest.mark.services]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a working folder."""
    return Desk(tmp_path)


def test_a_service_that_is_killed_in_the_middle_loses_no_request(desk: Desk, tmp_path: Path) -> None:
    """It is killed three times while its slots are busy, and the store once; what was at work is sent again."""
    ledger, port, store_port = tmp_path / "ledger", str(free_port()), str(free_port())
    served = ("workload", "serve", "--port", port, "--slots", "8", "--seconds", "0.2")
    to = ("--store", f"http://127.0.0.1:{store_port}")
    with desk.serving("workload", "store", "--port", store_port) as (store, _):
        load = desk.start(
            "load", "run", "--url", f"http://127.0.0.1:{port}", "--steps", "20:20", "--ledger", str(ledger), *to,
            "--give-up", "300", "--timeout", "60", "-o", "json",
        )  # fmt: skip
        for kills in range(1, 4):
            with desk.serving(*served, *to) as (service, _):
                until(lambda kills=kills: answered(ledger) >= 60 * kills, "requests are answered")  # type: ignore[misc]
                kill(service)
        kill(store)
    with (
        desk.serving("workload", "store", "--port", store_port) as (_, url),
        desk.serving(*served, *to),
    ):
        out, err = load.communicate(timeout=300)
        assert load.returncode == 0, err
        total = json.loads(out)[-1]
        assert (total["name"], total["sent"], total["answered"], total["failed"]) == ("total", 400, 400, 0)
        assert total["retries"] > 0
        (verdict,) = desk.rows("load", "check", str(ledger), "--store", url)
    assert verdict["good"]
    assert (verdict["sent"], verdict["answered"], verdict["stored"], verdict["verified"]) == (400, 400, 400, 400)


def test_a_service_that_is_ended_ends_what_it_has(desk: Desk, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        with desk.serving("workload", "serve", "--port", "0", "--slots", "4", "--seconds", "1", "--store", store) as (
            service,
            url,
        ):
            load = desk.start(
                "load", "run", "--url", url, "--steps", "100:0.04", "--ledger", str(ledger), "--store", store,
                "--give-up", "0",
            )  # fmt: skip
            until(lambda: sent(ledger) == 4, "requests are sent")
            until(lambda: json.loads(desk_stats(url))["busy"] == 4, "all slots are busy")
            service.terminate()
            out, _ = service.communicate(timeout=300)
            assert out == "stopped; 4 requests were done\n"
        said, err = load.communicate(timeout=300)
        assert load.returncode == 0, said + err


def desk_stats(url: str) -> str:
    """Return what a service says of itself."""
    from urllib.request import urlopen

    with urlopen(f"{url}/stats", timeout=60) as reply:  # noqa: S310 (loopback)
        return str(reply.read().decode())


def test_ctrl_c_ends_a_load_with_its_requests(desk: Desk, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        serve = ("workload", "serve", "--port", "0", "--slots", "8", "--seconds", "0.5", "--store", store)
        with desk.serving(*serve) as (_, url):
            load = desk.start(
                "load", "run", "--url", url, "--rate", "10", "--for", "never", "--ledger", str(ledger),
                "--store", store, "-o", "json",
            )  # fmt: skip
            until(lambda: answered(ledger) >= 5, "requests are answered")
            load.send_signal(signal.SIGINT)
            out, err = load.communicate(timeout=300)
    assert load.returncode == 130, err
    total = json.loads(out)[-1]
    assert total["name"] == "total"
    assert total["open"] == total["failed"] == 0
    assert total["ledger"]["good"]
    assert answered(ledger) == sent(ledger) == total["answered"]


def test_the_ledger_of_a_killed_load_names_what_it_left_open(desk: Desk, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        serve = (
            "workload",
            "serve",
            "--port",
            "0",
            "--slots",
            "2",
            "--seconds",
            "0.5",
            "--queue",
            "4",
            "--store",
            store,
        )
        with desk.serving(*serve) as (_, url):
            load = desk.start("load", "run", "--url", url, "--rate", "20", "--for", "never", "--ledger", str(ledger))
            until(lambda: answered(ledger) >= 2 and sent(ledger) > 10, "requests are on their way")
            kill(load)
            load.communicate()
            (verdict,) = desk.rows("load", "check", str(ledger), "--store", store, code=12)
    assert not verdict["good"]
    assert len(verdict["lost"]) == verdict["sent"] - verdict["answered"] > 0
    assert not verdict["doubled"] + verdict["missing"] + verdict["different"] + verdict["unknown"] + verdict["wrong"]


def test_what_the_pages_print_works(desk: Desk, tmp_path: Path) -> None:
    """Their lines in order, the services beside; the addresses are free ones, and what takes minutes takes a second."""
    port, store_port = str(free_port()), str(free_port())
    ran: list[str] = []
    with desk.serving("workload", "store", "--port", store_port) as (_, store):
        serve = ("workload", "serve", "--port", port, "--slots", "8", "--seconds", "0.01", "--store", store)
        with desk.serving(*serve):
            for page in ("workload.md", "load.md"):
                for line in lines_of(DOCS / page):
                    text = line.text.partition(" # ")[0]
                    if not line.whole or not re.match(r"cms (load|workload user-data)", text):
                        continue  # what serves is beside already, and what boots is in the tests with VMs
                    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("/shop", "/health")
                    text = re.sub(r"--for \w+", "--for 1s", text).replace(
                        "--group web", f"--url http://127.0.0.1:{port}"
                    )
                    words = shlex.split(text)[1:]
                    if "--ledger" in words or "check" in words:
                        words += ["--store", store]
                    desk(*words)
                    ran.append(line.text)
    assert len(ran) >= 6
    assert (tmp_path / "plates.sh").stat().st_mode & 0o777 == 0o600


def test_the_token_stands_in_no_process_list(desk: Desk) -> None:
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        token = desk.token_file.read_text().strip()
        serve = ("workload", "serve", "--port", "0", "--store", store)
        with desk.serving(*serve) as (_, url):
            desk("load", "run", "--url", url, "--steps", "20:0.5", "--ledger", "ledger", "--store", store)
            seen = 0
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    words = file.read_bytes()
                except OSError:
                    continue
                seen += b"workload" in words
                assert token.encode() not in words
            assert seen >= 2
    loose = [str(file) for file in desk.token_file.parent.iterdir() if file.is_file() and file.stat().st_mode & 0o077]
    assert not loose


def test_a_terminal_shows_a_line_that_moves(desk: Desk) -> None:
    with desk.serving("workload", "store", "--port", "0") as (_, store):
        serve = ("workload", "serve", "--port", "0", "--slots", "4", "--store", store)
        with desk.serving(*serve) as (_, url):
            words = ["load", "run", "--url", url, "--rate", "20", "--for", "never", "--every", "1"]
            child = pexpect.spawn(
                CMS[0], [*CMS[1:], *words], env=desk.env, encoding="utf-8", timeout=300, dimensions=(40, 160)
            )
            child.expect_exact("SLOWEST")
            for _ in range(2):
                child.expect(r"\d:\d\d  20\.0/s asked  [\d.]+/s answered [▁▂▃▄▅▆▇█]+  \d+ open  p95 [\d.]+ s")
            child.sendintr()
            child.expect(r"total\b[^\n]*\d\r\n")
            child.expect_exact("the load was stopped")
            child.expect(pexpect.EOF)
            child.close()
    assert child.exitstatus == 130
