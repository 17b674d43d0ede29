"""`cms workload serve`: the licence-plate service on this machine, to try it without a VM."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated

from cloudms.context import Context
from cloudms.errors import Conflict, Denied, Interrupted
from cloudms.verb import Doc, verb
from cloudms.verbs.workload import place
from cloudms.workload import service, token
from cloudms.workload.store import is_loopback
from cloudms.workload.userdata import port_of, work
from cloudms.workload.wire import address

_LOOK_S = 0.5


@verb("workload", "serve", streams=True, doors=("cli", "shell"), example="cms workload serve --slots 2 --seconds 0.5")
def serve(
    ctx: Context,
    *,
    host: Annotated[str, Doc("loopback address to listen at")] = "127.0.0.1",
    port: Annotated[int, Doc("port to listen at; 0 takes a free one")] = 8080,
    member: Annotated[str | None, Doc("name in its answers; this machine's otherwise")] = None,
    store: place.StoreUrl = None,
    token_file: place.TokenFile = None,
    slots: place.Slots = 1,
    rounds: place.Rounds = 1,
    seconds: place.Seconds = 0.0,
    queue: place.Queue = 64,
) -> Iterator[str]:
    """Run the licence-plate service on this machine until Ctrl-C or SIGTERM.

    It is the same file that runs in VMs: POST /plate, GET /health, GET /stats. What it works on is ended first.
    """
    if not is_loopback(host):
        raise Denied(f"other machines could reach {host}", hint="127.0.0.1, or a VM (cms workload user-data)")
    settings = work(slots=slots, rounds=rounds, seconds=seconds, queue=queue)
    settings |= {"host": host, "port": port_of(port), "member": member or ""}
    settings |= {"store": address(store or place.URL).text, "token": token.read(place.token_file(token_file))}
    try:
        serving = service.server(settings)
    except OSError as error:
        raise Conflict(
            f"{host}:{port} cannot be listened at: {error.strerror}", hint="--port 0 takes a free one"
        ) from None
    yield f"listening at http://{host}:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever, args=(0.1,), name="cms-plates", daemon=True)
    thread.start()
    try:
        while True:
            ctx.pause(_LOOK_S)
    except (KeyboardInterrupt, Interrupted):
        service.end(serving)
    finally:
        serving.server_close()
    yield f"stopped; {serving.subject.stats()['done']} requests were done"
