"""HAProxy's configuration as text: a way for requests, a slot for every member there can be, a log in memory.

A request goes through it twice. The first pass keeps it, and tries it again when the second one says that it failed.
The second one waits while no member is ready, then for a slot, and hears each failure of a member, which a retry within
one pass would hide: after three in a row the member is out until its check passes. So whoever has died swallows three
tries at most, and a request has more.

What it says is of HAProxy 2.4 and newer. Members are not in it: they are set through the runtime API, and nothing is
read again when they come and go.
"""

from __future__ import annotations

from cloudms.balancers.settings import Settings

BACK = "members"
FRONT = "requests"
SECOND = "second"
"""What begins the second pass."""
LOG = "answers"
SLOT = "s"
"""What the slots are called: s1, s2 …"""
SOCKET = "admin.sock"
STATE = "state"
HOLD = "hold.lua"
_LOG_BYTES = 524_288
"""Memory for the last answers, some ten thousand of them."""
_BUFFER = 65_536
"""Bytes of a request that are kept so that it can be given to another member."""
_DYING = 30
"""Seconds that the requests under way have when the settings change or it ends."""

_TEXT = """\
global
    # one thread serves thousands of requests per second, and none waits in a queue while another thread's slot is free
    nbthread 1
    # two that are started at once at one address would share its requests; so the second one is refused
    noreuseport
    stats socket unix@{socket} mode 600 level admin expose-fd listeners
    stats timeout 30s
    server-state-file {state}
    hard-stop-after {dying}s
    tune.bufsize {buffer}
{load}{identity}
ring {log}
    description "answers, one line each"
    format raw
    maxlen 256
    size {log_bytes}

defaults
    mode http
    load-server-state-from-file global
    option http-server-close
    option http-buffer-request
    option abortonclose
    timeout connect {connect}
    timeout server {timeout}
    timeout queue {queue}
    timeout client {client}
    timeout http-request 30s
    timeout http-keep-alive 30s
    timeout check {check_timeout}
    http-error status 503 content-type application/json string {nobody} hdr Retry-After 1

frontend {front}
    log ring@{log} format raw local0
    log-format "%[date(0,ms)] %ST %Ta %rc"
    bind {address}:{port}
    option forwardfor
    # who has waited in vain for a member is not tried again, and hears so
    http-response set-status 503 if {{ status 500 }} {{ res.hdr(x-cms-nobody) -m found }}
    http-response del-header X-Cms-Nobody
    default_backend first

backend first
    retries {retries}
    retry-on conn-failure empty-response 502 503 504
{safe}    timeout server {patience}
    server {second} abns@{name}

frontend {second}
    bind abns@{name}
{hold}    http-request return status 500 content-type application/json string {nobody} \
hdr Retry-After 1 hdr X-Cms-Nobody 1 if {{ nbsrv({back}) eq 0 }}
    default_backend {back}

backend {back}
    balance leastconn
    retries {retries}
    option redispatch 1
{check}    default-server check inter {interval} fastinter {fast} downinter {fast} fall {fall} rise {rise} \
observe layer7 error-limit 3 on-error mark-down maxconn {slots}
    server-template {slot} 1-{most} 127.0.0.1:1 disabled
"""

_NOBODY = """'{"error": "no member is ready", "retryable": true}'"""

_SAFE = """\
    # what is not safe to do twice goes to a second member only when the first one never got it
    http-request disable-l7-retry unless { method GET HEAD OPTIONS }
"""

_LUA = """\
core.register_action("hold", {{ "http-req" }}, function(txn)
    local waited = 0
    while waited < {milliseconds} and txn.f:nbsrv("{back}") == 0 do
        core.msleep(20)
        waited = waited + 20
    end
end)
"""


def lua(settings: Settings) -> str:
    """Return the program by which requests wait."""
    return _LUA.format(milliseconds=round(settings.hold * 1000), back=BACK)


def text(settings: Settings, address: str, port: int, name: str, *, user: str = "") -> str:
    """Return the configuration.

    Parameters: `name`, one of its own for a socket without a file; `user`, to whom a process that root started changes.
    """
    check = f"    option httpchk GET {settings.check}\n    http-check expect status 200\n" if settings.check else ""
    patience = settings.hold + settings.queue + settings.timeout + 30
    holds = settings.hold > 0
    return _TEXT.format(
        socket=SOCKET, state=STATE, dying=_DYING, buffer=_BUFFER, log=LOG, log_bytes=_LOG_BYTES, front=FRONT, back=BACK,
        slot=SLOT, second=SECOND, name=name, identity=f"    user {user}\n    group {user}\n" if user else "", port=port,
        address=f"[{address}]" if ":" in address else address, connect=_ms(settings.connect), nobody=_NOBODY,
        timeout=_ms(settings.timeout), queue=_ms(settings.queue), patience=_ms(patience), check=check,
        client=_ms(patience * (settings.retries + 1)), check_timeout=_ms(max(2.0, settings.interval)),
        safe="" if settings.idempotent else _SAFE, retries=settings.retries, interval=_ms(settings.interval),
        fast=_ms(min(0.1, settings.interval)), fall=settings.fall, rise=settings.rise, slots=settings.slots,
        most=settings.most, load=f"    lua-load {HOLD}\n" if holds else "",
        hold="    http-request lua.hold\n" if holds else "",
    )  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
