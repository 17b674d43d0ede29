"""`cms serve` as a process of its own, with real connections: what clients, signals and kills do to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.aws.emulator import running
from tests.house.source import DOCS
from tests.unit.doors.rest.conftest import KEY, Told, events

pytestmark = [pytest.mark.live, pytest.mark.services]

CMS = [sys.executable, "-m", "cloudms"]
CONFIG = """\
cloudmesh:
  default: {cloud: fake}
  cloud:
    local: {cm: {kind: fake, active: false}, max_vms: 20}
    fake: {cm: {kind: fake, active: true}, boot_seconds: 0.05, max_vms: 60, credentials: {password: hidden-fake}}
    slow: {cm: {kind: fake, active: true}, boot_seconds: 3}
"""
HIDDEN = "hidden-"


class Service:
    """One service in one home; `restart` begins another one there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / ".cloudmesh"
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(self.folder)}
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.options: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """Return the file of its stderr."""
        return self.home / "stderr"

    @property
    def token(self) -> str:
        """Return its token."""
        return (self.folder / "rest.token").read_text().strip()

    def start(self, *options: str) -> None:
        """Start it, and wait until it listens."""
        self.options = options
        with (self.home / "stdout").open("ab") as out, self.log.open("ab") as err:
            at = out.tell()
            self.process = subprocess.Popen(
                [*CMS, "serve", "--port", "0", *options], env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        until(lambda: b"the token is in" in self.said()[at:], self.process)
        self.address = re.findall(rb"listening at (\S+)", self.said()[at:])[0].decode()

    def said(self) -> bytes:
        """Return its stdout."""
        return (self.home / "stdout").read_bytes()

    def client(self, **options: Any) -> httpx.Client:
        """Return a client that has the token."""
        return httpx.Client(
            base_url=self.address,
            headers={"authorization": f"Bearer {self.token}"},
            timeout=60,
            trust_env=False,
            **options,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    def cms(self, *words: str) -> Any:
        """Return what a command in the same home prints as JSON."""
        done = subprocess.run([*CMS, *words, "-o", "json"], env=self.env, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)


def until(check: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, seconds: float = 60.0) -> None:
    """Wait until `check` holds; a process that ends meanwhile will not bring it about."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never happened"
        assert process is None or process.poll() is None, "the service has ended"
        time.sleep(0.05)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Start a service over fake clouds, and end it."""
    home = tmp_path / "person"
    (home / ".cloudmesh").mkdir(mode=0o700, parents=True)
    (home / ".cloudmesh" / "cloudmesh.yaml").write_text(CONFIG)
    (home / ".cloudmesh" / "cloudmesh.yaml").chmod(0o600)
    made = Service(home)
    made.start()
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    assert "Traceback" not in made.log.read_text(), made.log.read_text()
    assert "bug in cloudms" not in made.log.read_text()


def follow(client: httpx.Client, name: str, last: str = "") -> list[Told]:
    """Return the events of an operation until its end."""
    headers = {"last-event-id": last} if last else {}
    with client.stream("GET", f"/v1/operation/events/{name}", headers=headers) as response:
        assert response.status_code == 200
        return events("".join(response.iter_text()))


def begin(client: httpx.Client, path: str, **body: Any) -> str:
    """Begin a change and return the name of its operation."""
    response = client.post(f"/v1/{path}", json=body)
    assert response.status_code == 202, response.text
    name: str = response.json()["operation"]["name"]
    assert response.headers["location"] == f"/v1/operation/show?name={name}"
    return name


def test_a_vm_from_boot_to_delete(service: Service) -> None:
    with service.client() as client:
        told = follow(client, begin(client, "vm/boot", image="micro", name="web", count=3))
        assert (told[0].name, told[-1].name, told[-1].data["state"]) == ("operation", "end", "done")
        assert {event.name for event in told} >= {"step", "progress"}
        listed = client.get("/v1/vm/list").json()["items"]
        assert [(vm["name"], vm["state"]) for vm in listed] == [(f"web-{i}", "running") for i in (1, 2, 3)]
        assert [vm["name"] for vm in service.cms("vm", "list")] == ["web-1", "web-2", "web-3"]
        ended = follow(client, begin(client, "vm/delete", names=["web-[1-3]"]))[-1].data
        assert ended["state"] == "done"
        assert client.get("/v1/vm/list").json()["items"] == []
        assert client.post("/v1/sweep", json={}).json()["items"] == []


def test_progress_comes_while_it_happens(service: Service) -> None:
    with service.client() as client:
        name = begin(client, "vm/boot", image="micro", name="late", cloud="slow")
        with client.stream("GET", f"/v1/operation/events/{name}") as response:
            chunks = response.iter_text()
            first = next(chunk for chunk in chunks if "event: operation" in chunk)
            assert client.get(f"/v1/operation/show?name={name}").json()["state"] == "running"
            rest = "".join(chunks)
    assert events(first)[0].data["state"] == "running"
    assert events(rest)[-1].data["state"] == "done"


def test_a_console_that_is_followed_goes_on_until_its_reader_leaves(service: Service) -> None:
    with service.client() as client:
        follow(client, begin(client, "vm/boot", image="micro", name="web1"))
        with client.stream("GET", "/v1/vm/console?name=web1&follow=true") as response:
            assert response.status_code == 200
            assert "Linux" in next(response.iter_text())
        with (
            pytest.raises(httpx.ReadTimeout),
            client.stream("GET", "/v1/vm/console?name=web1&follow=true", timeout=3.0) as response,
        ):
            response.read()
        assert client.get("/v1/vm/console?name=web1").text.startswith("[")
        assert client.get("/v1/vm/list").json()["items"][0]["name"] == "web1"


def test_a_change_is_cancelled_and_resumed(service: Service) -> None:
    with service.client() as client:
        name = begin(client, "vm/boot", image="micro", name="late", cloud="slow")
        begin(client, "operation/cancel", name=name)
        assert follow(client, name)[-1].data["state"] == "cancelled"
        again = begin(client, "operation/resume", name=name)
        assert again == name
        assert follow(client, name)[-1].data["state"] == "done"
        assert [vm["name"] for vm in client.get("/v1/vm/list").json()["items"]] == ["late"]


def test_a_killed_service_leaves_what_the_command_line_resumes(service: Service) -> None:
    with service.client() as client:
        files = {"user_data": ("setup.yaml", b"#cloud-config\n# hidden-setup\n")}
        response = client.post("/v1/vm/boot", data={"image": "micro", "name": "late", "cloud": "slow"}, files=files)
        assert response.status_code == 202, response.text
        name = response.json()["operation"]["name"]
        time.sleep(0.5)
    assert service.end(signal.SIGKILL) == -signal.SIGKILL
    (operation,) = service.cms("operation", "list")
    assert (operation["name"], operation["state"]) == (name, "interrupted")
    service.cms("operation", "resume", name)
    assert [(vm["name"], vm["state"]) for vm in service.cms("vm", "list")] == [("late", "running")]
    assert service.cms("sweep") == []
    service.start()
    with service.client() as client:
        told = follow(client, name)
        assert (told[-1].name, told[-1].data["state"]) == ("end", "done")
    assert not [file for file in (service.folder / "uploads").rglob("*") if file.is_file()]


def test_a_signal_ends_it_in_order_and_nothing_is_lost(service: Service) -> None:
    with service.client() as client:
        names = [begin(client, "vm/boot", image="micro", name=f"late{i}", cloud="slow") for i in range(10)]
        with client.stream("GET", f"/v1/operation/events/{names[0]}") as response:
            chunks = response.iter_text()
            next(chunks)
            assert service.process
            service.process.send_signal(signal.SIGTERM)
            for _ in chunks:
                continue
    assert service.process.wait(60) == 0
    assert service.said().decode().endswith("stopped\n")
    states = {row["name"]: row["state"] for row in service.cms("operation", "list")}
    assert set(states.values()) <= {"cancelled", "done"}
    assert "cancelled" in states.values()
    for name in names:
        if states[name] == "cancelled":
            service.cms("operation", "resume", name)
    assert len(service.cms("vm", "list")) == 10
    assert service.cms("sweep") == []


def test_ctrl_c_ends_it_as_well(service: Service) -> None:
    assert service.end(signal.SIGINT) == 0


def test_two_clients_at_once(service: Service) -> None:
    def person(number: int) -> None:
        with service.client() as client:
            for turn in range(4):
                name = f"p{number}-{turn}"
                begun = begin(client, "vm/boot", image="micro", name=name)
                assert client.get("/v1/vm/list").status_code == 200
                assert client.get(f"/v1/vm/list?cached=true&limit=2&label=p={number}").status_code == 200
                assert follow(client, begun)[-1].data["state"] == "done"
            ended = follow(client, begin(client, "vm/delete", names=[f"p{number}-[0-1]"]))
            assert ended[-1].data["state"] == "done"

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(person, range(6)))
    with service.client() as client:
        found = [vm["name"] for vm in client.get("/v1/vm/list").json()["items"]]
        assert sorted(found) == sorted(f"p{number}-{turn}" for number in range(6) for turn in (2, 3))
        numbers = client.get("/metrics").text
        assert 'cms_operations_total{state="done",verb="vm boot"} 24.0' in numbers
        assert 'cms_vms{cloud="fake",state="running"} 12.0' in numbers


def test_a_key_is_added_and_used(service: Service) -> None:
    with service.client() as client:
        response = client.post("/v1/key/add", data={"name": "work"}, files={"file": KEY.encode()})
        assert follow(client, response.json()["operation"]["name"])[-1].data["state"] == "done"
        assert client.get("/v1/key/get?name=work").text == KEY


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"host": "evil.example.org"}, 403),
        ({"origin": "https://evil.example.org"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_strangers_are_refused(service: Service, headers: dict[str, str], status: int) -> None:
    with service.client() as client:
        for response in (client.get("/v1/vm/list", headers=headers), client.post("/v1/sweep", headers=headers)):
            assert response.status_code == status
            assert set(response.json()) == {"error"}


@pytest.mark.parametrize(
    "text", ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n", f"GET /{'x' * 99999} HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_refused_in_the_same_shape(service: Service, text: str) -> None:
    address = httpx.URL(service.address)
    with socket.create_connection((address.host, address.port or 0), 10) as stream:
        stream.sendall(text.encode())
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid"


def test_no_secret_is_in_a_reply_a_log_or_a_process_list(service: Service) -> None:
    replies = []
    with service.client() as client:
        files = {"user_data": b"#cloud-config\n# hidden-setup\n"}
        form = {"image": "micro", "name": "web", "timeout": "30"}
        response = client.post("/v1/vm/boot", data=form, files=files)
        follow(client, response.json()["operation"]["name"])
        for path, item in client.get("/openapi.json").json()["paths"].items():
            if "get" in item and "{" not in path:
                for query in ({}, {"name": "web"}, {"name": "op-1"}):
                    replies.append(client.get(path, params=query).text)
        client.get(f"/v1/vm/list?access_token={service.token}")
        client.get(f"/{service.token}")
    assert len(replies) > 60
    told = "".join(replies) + service.log.read_text() + service.said().decode()
    assert HIDDEN not in told
    assert service.token not in told
    assert service.process
    assert service.token.encode() not in Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
    assert (service.folder / "rest.token").stat().st_mode & 0o777 == 0o600


def test_a_console_that_is_followed_is_left(service: Service) -> None:
    with service.client() as client:
        follow(client, begin(client, "vm/boot", image="micro", name="web"))
        for accept in ("text/plain", "text/event-stream"):
            with client.stream("GET", "/v1/vm/console?name=web&follow=true", headers={"accept": accept}) as response:
                assert response.status_code == 200
                assert next(response.iter_text())
    assert service.end() == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_over_tls(service: Service, tmp_path: Path) -> None:
    assert service.end() == 0
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=x",
             "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    service.start("--tls-cert", str(cert), "--tls-key", str(key))
    assert service.address.startswith("https://")
    with service.client(verify=ssl.create_default_context(cafile=str(cert))) as client:
        response = client.get("/v1/vm/list", headers={"origin": service.address})
        assert response.status_code == 200
        assert response.headers["strict-transport-security"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_page_prints_works(service: Service) -> None:
    page = (DOCS / "rest.md").read_text(encoding="utf-8")
    programs = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    assert len(programs) >= 5
    script = (
        'set -euo pipefail\ncurl() { command curl --fail-with-body --no-progress-meter "$@"; echo; }\n'
        + "\n".join(programs)
    )
    done = subprocess.run(
        ["bash", "-c", script.replace("http://127.0.0.1:8321", service.address)],
        env=service.env, cwd=service.home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"name":"web-1"' in done.stdout
    assert "event: end" in done.stdout


def test_vms_on_aws(service: Service) -> None:
    """The same over a pretended AWS, in a process of its own: one request for many, tags, and nothing left behind."""
    with running() as lab:
        lab.write_config(service.folder)
        with service.client() as client:
            image = lab.client().describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
            body = {"image": image, "name": "web", "count": 3, "wait": "running", "label": {"tier": "web"}}
            priced = client.post("/v1/vm/boot", json={**body, "dry_run": True})
            assert (priced.status_code, len(priced.json()["steps"])) == (200, 3)
            ended = follow(client, begin(client, "vm/boot", **body))[-1].data
            assert ended["state"] == "done", ended
            assert len(lab.calls("RunInstances")) == 1
            listed = client.get("/v1/vm/list?label=tier=web").json()
            assert [vm["state"] for vm in listed["items"]] == ["running"] * 3
            assert follow(client, begin(client, "vm/delete", names=["web-[1-3]"]))[-1].data["state"] == "done"
            assert not lab.things("instance")


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method,ignored_auth"
)
SETTINGS = """\
[generation]
max-examples = 4
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 501, 503, 504, 507]
[[operations]]
include-path = "/v1/vm/console"
parameters = { follow = false }
"""
"""What is no bug although it is a 5xx: the classes of errors that clouds and their limits have. A console that is
followed goes on until its reader leaves, which this one never does: another test does so.
"""


def test_whatever_is_asked_is_answered_as_described(service: Service) -> None:
    """All routes, nothing left out: every status, kind and shape of a reply is one that the document names."""
    with service.client() as client:
        for name in ("web1", "web2", "web3", "db1"):
            follow(client, begin(client, "vm/boot", image="micro", name=name))
        follow(client, begin(client, "volume/create", name="data1"))
        follow(client, begin(client, "vm/snapshot/create", name="web1", snapshot="before-upgrade"))
    (service.home / "schemathesis.toml").write_text(SETTINGS)
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "--config-file", "schemathesis.toml", "run",
         f"{service.address}/openapi.json", "-H", f"Authorization: Bearer {service.token}", "--checks", CHECKS,
         "--request-timeout", "20", "--max-time", "70", "--seed", "1", "--no-color", "--warnings", "off"],
        env=service.env, cwd=service.home, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    assert re.search(r"Tested: \d\d", done.stdout)


def test_what_vms_say_is_an_event_as_it_comes(service: Service) -> None:
    with service.client() as client:
        follow(client, begin(client, "vm/boot", image="micro", name="lab", count=2))
        name = begin(client, "run", names=["lab-[1-2]"], command=["uptime"])
        told = [event for event in follow(client, name) if event.name == "output"]
        assert {event.data["target"] for event in told} <= {"lab-1", "lab-2"}
        record = client.get("/v1/operation/show", params={"name": name}).json()
        assert [step["result"]["state"] for step in record["steps"]] == ["done", "done"]
        assert client.get("/v1/run/list").json()["items"][0]["ok"] == 2
        lines = client.get("/v1/run/logs", params={"name": "last"}).text.splitlines()
        assert lines == [
            f"lab-{n}: {line}" for n in (1, 2) for line in record["steps"][n - 1]["result"]["stdout"].splitlines()
        ]
