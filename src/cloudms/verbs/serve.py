"""`cms serve`: the same commands for programs on this machine and elsewhere, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cloudms import registry
from cloudms.context import Context
from cloudms.errors import Invalid, MissingExtra
from cloudms.verb import Doc, File, verb
from cloudms.verbs.version import is_installed

if TYPE_CHECKING:
    from cloudms.verbs.scaler.crew import Crew

_MOST = 64


@verb("serve", streams=True, doors=("cli", "shell"), example="cms serve --port 8321")
def serve(
    ctx: Context,
    *,
    host: Annotated[str, Doc("address to listen at")] = "127.0.0.1",
    port: Annotated[int, Doc("port to listen at; 0 takes a free one")] = 8321,
    token_file: Annotated[
        Path | None,
        Doc("file with the token, made when missing; rest.token beside the configuration otherwise"),
        File(write=True),
    ] = None,
    expose: Annotated[bool, Doc("allow a --host that other machines reach; it needs --tls-cert and --tls-key")] = False,
    tls_cert: Annotated[Path | None, Doc("PEM file with the certificate, and those that sign it"), File()] = None,
    tls_key: Annotated[Path | None, Doc("PEM file with its key"), File()] = None,
    allow_host: Annotated[list[str] | None, Doc("name by which clients may call it, beside this machine's own")] = None,
    workers: Annotated[int, Doc("how many changes are carried out at once")] = 8,
    access_log: Annotated[bool, Doc("write a line per request to stderr")] = True,
    scaler: Annotated[
        bool | None, Doc("scale all groups that have a policy (cms scaler run), too; as the setting `scaler` says")
    ] = None,
    openapi: Annotated[bool, Doc("print the OpenAPI document and end")] = False,
) -> Iterator[str]:
    """Serve every command as REST until Ctrl-C or SIGTERM.

    GET /v1/vm/list is `cms vm list`; a command that changes something is a POST. Clients send the token of the file:
    Authorization: Bearer TOKEN. At the end, calls on their way are waited for; what was not begun can be resumed.
    """
    if not is_installed("rest"):
        raise MissingExtra("rest", why="cms serve")
    if not 1 <= workers <= _MOST:
        raise Invalid(f"--workers {workers} is not between 1 and {_MOST}", hint="8 is the default")
    if not 0 <= port <= 65535:
        raise Invalid(f"--port {port} is no port", hint="8321 is the default, 0 takes a free one")
    if openapi:
        yield registry.load("cloudms.doors", "rest").described()
        return
    service = registry.load("cloudms.doors", "rest")(
        ctx,
        host=host,
        port=port,
        token_file=token_file,
        expose=expose,
        tls_cert=tls_cert,
        tls_key=tls_key,
        allowed=tuple(allow_host or ()),
        width=workers,
        requests=access_log,
    )
    crew = _crew(ctx) if (ctx.config.flag("scaler", False) if scaler is None else scaler) else None
    try:
        yield from service.run()
    finally:
        if crew is not None:
            crew.end()


def _crew(ctx: Context) -> Crew:
    """Scale groups beside the service."""
    from cloudms.verbs.scaler.crew import Crew

    crew = Crew(ctx)
    crew.beside()
    return crew
