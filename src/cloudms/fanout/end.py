"""Ending a command before its time: a signal over its channel, and where servers refuse that, from a second session.

OpenSSH passes signals on only for logins without the rights of root ("session signalling requires privilege
separation"), and a command whose channel is closed goes on until it writes. Both sessions of a connection are children
of one server process, so that the second one finds the first.
"""

from __future__ import annotations

import asyncio

from cloudms.fanout.kept import Use
from cloudms.fanout.sink import Sink
from cloudms.fanout.talk import Talk

_HEARD_S, _TERM_S, _KILL_S = 0.2, 2.0, 1.0
"""Seconds until the second session is asked, until SIGKILL follows SIGTERM, and until the channel is let go."""
_LINE = (
    "exec sh -c 'for p in /proc/[0-9]*; do q=${p#/proc/}; "
    '[ "$q" != $$ ] && grep -qs "^PPid:[[:space:]]*$PPID\\$" "$p/status" && kill -%s -"$q"; done; :\''
)


async def end(talk: Talk, use: Use) -> None:
    """End a command that runs; after this it has ended, or nothing is heard of it any more."""
    if talk.channel is None or talk.ended.is_set():
        return
    try:
        for name, seconds in (("TERM", _TERM_S), ("KILL", _KILL_S)):
            talk.channel.send_signal(name)
            if await _has_ended(talk, _HEARD_S):
                return
            await _second(use, name)
            if await _has_ended(talk, seconds):
                return
    except Exception:  # noqa: BLE001 (the connection is gone: then so is the command's channel)
        return
    finally:
        talk.channel.abort()


async def _has_ended(talk: Talk, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await talk.ended.wait()
    except TimeoutError:
        return False
    return True


async def _second(use: Use, signal: str) -> None:
    """Send the signal from another session, where no other command's would get it as well."""
    link = use.alone
    if link is None:
        return
    other = Talk(Sink(tail=0), Sink(tail=0))
    async with asyncio.timeout(_TERM_S):
        await link.start(_LINE % signal, other)
        await other.ended.wait()
