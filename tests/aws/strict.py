"""The layer round moto: faults, rules, and the control address `/cms-lab/…`, as one WSGI application."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.aws.faults import Fault, hang_up
from tests.aws.rules import AFTER, BEFORE
from tests.aws.wire import Call, Refused, Reply, as_real
from tests.aws.world import World

from tests.aws import tokens, instances, storage, listing, images, money, measuring  # isort: skip  (in this order, rules apply)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
CONTROL = "/cms-lab/"
SUBJECTS = (tokens, instances, storage, listing, images, money, measuring)
"""The modules whose rules have registered themselves."""


class Strict:
    """Answers as AWS documents it, with moto for the records."""

    def __init__(self, moto: Wsgi, world: World) -> None:
        self.moto = moto
        self.world = world

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(CONTROL):
            reply = self._control(environ, path.removeprefix(CONTROL))
        elif path.startswith("/moto-api"):
            return self.moto(environ, start_response)
        else:
            reply = self._call(Call.read(environ))
        headers = [("Content-Type", reply.type), ("Content-Length", str(len(reply.body)))]
        start_response(f"{reply.status} {'OK' if reply.ok else 'Error'}", headers)
        return [reply.body]

    def _call(self, call: Call) -> Reply:
        """Answer one call to AWS, which may end without an answer. Raises: ConnectionResetError."""
        fault = next((each for each in list(self.world.faults) if each.due(call)), None)
        entry = {
            "service": call.service, "region": call.region, "action": call.action, "status": 0,
            "fault": fault.fault if fault else "", "params": dict(call.params),
        }  # fmt: skip
        self.world.calls.append(entry)
        begun = time.monotonic()
        reply = self._with_fault(call, fault)
        entry["status"], entry["seconds"] = reply.status, time.monotonic() - begun
        return reply

    def _with_fault(self, call: Call, fault: Fault | None) -> Reply:
        if fault is None:
            return self._answer(call)
        if fault.fault == "down":
            raise hang_up(call.environ)
        refused = fault.refusal(call.service)
        early = call.error(refused) if refused else fault.early()
        if early is not None:
            return early
        if fault.fault == "slow":
            time.sleep(fault.seconds)
        reply = self._answer(call)
        if fault.fault == "lost":
            raise hang_up(call.environ)
        if fault.fault == "late":
            time.sleep(fault.seconds)
        return fault.spoil(reply) if fault.fault == "malformed" else reply

    def _answer(self, call: Call) -> Reply:
        with self.world.lock:
            self.world.settle()
            try:
                return self._by_rules(call)
            except Refused as refused:
                return call.error(refused)

    def _by_rules(self, call: Call) -> Reply:
        wanted = self.world.settings.access_key
        if wanted and call.access_key != wanted:
            refused = Fault("unknown_key").refusal(call.service)
            assert refused is not None
            raise refused
        if call.service == "ec2":
            self.world.backend(call.region)
        for rule in BEFORE.get(call.action, []):
            reply = rule(self.world, call)
            if reply is not None:
                return reply
        reply = self._ask_moto(call)
        if reply.ok:
            for change in AFTER.get(call.action, []):
                reply = change(self.world, call, reply)
        return reply

    def _ask_moto(self, call: Call) -> Reply:
        said: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            said.extend((int(status.split()[0]), dict(headers).get("Content-Type", "text/xml")))

        try:
            body = b"".join(self.moto(call.outgoing(), start_response))
        except NotImplementedError:
            raise Refused("UnknownOperationException", f"{call.action} is not pretended here", 501) from None
        if said[0] == 500 and b"NotImplementedError" in body:
            raise Refused("UnknownOperationException", f"{call.action} is not pretended here", 501)
        return Reply(said[0], as_real(body) if call.service == "ec2" else body, said[1])

    def _control(self, environ: dict[str, Any], what: str) -> Reply:
        """Let a test see and change what is pretended."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        given = json.loads(environ["wsgi.input"].read(length) or b"null")
        try:
            done = self._controls(environ["REQUEST_METHOD"], what, given)
        except (KeyError, TypeError, ValueError, Refused) as error:
            return Reply(400, json.dumps(str(error)).encode(), "application/json")
        return Reply(200, json.dumps(done).encode(), "application/json")

    def _controls(self, method: str, what: str, given: Any) -> Any:
        world = self.world
        with world.lock:
            world.settle()
            if (method, what) == ("POST", "faults"):
                world.faults.extend(Fault(**each) for each in given)
            elif (method, what) == ("DELETE", "faults"):
                world.faults.clear()
            elif (method, what) == ("DELETE", "calls"):
                world.calls.clear()
            elif (method, what) == ("POST", "settings"):
                world.settings.update(given)
            elif (method, what) == ("POST", "reset"):
                world.reset()
            elif (method, what) == ("POST", "power-off"):
                return instances.power_off_inside(world, given["region"], given["instance"])
            else:
                return self._shown(what)
        return "done"

    def _shown(self, what: str) -> Any:
        shown: dict[str, Callable[[], Any]] = {
            "faults": lambda: [each.__dict__ for each in self.world.faults],
            "calls": lambda: self.world.calls,
            "settings": lambda: self.world.settings.__dict__,
            "things": lambda: list(self.world.everything()),
        }
        return shown[what]()
