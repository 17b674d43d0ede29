"""What goes wrong with a connection, as an error of the house: by the class of the exception, never by chance."""

from __future__ import annotations

import errno
from typing import Any

from cloudms.errors import CloudmsError, Denied, NoCapacity, NotFound, NotReady, Timeout
from cloudms.fanout.again import TurnedAway
from cloudms.fanout.host import Host


def changed(host: Host) -> Denied:
    """Return the error for a host that shows another key than the one that is pinned."""
    what = f"the host key of {host.name} ({host.address}) is not the one that is pinned"
    if not host.alias:
        return Denied(
            f"{what} in ~/.ssh/known_hosts, or none is", hint=f"ssh {host.name} once, and look at the key it shows"
        )
    return Denied(
        f"{what}: another machine answers there, or it was installed anew",
        hint=f"if that is so, forget the old key: ssh-keygen -R {host.alias} -f ~/.cloudmesh/known_hosts",
        details={"alias": host.alias},
    )


def silent(host: Host, seconds: float) -> NotReady:
    """Return the error for a host that did not let anybody in within `seconds`."""
    return NotReady(f"{_place(host)} did not answer within {seconds:g} s", hint=_look(host))


def turned_away(host: Host, times: int) -> NotReady:
    """Return the error for a host that closed every connection before it greeted."""
    often = f", {times} times" if times > 1 else ""
    return NotReady(
        f"{_place(host)} closes connections before it greets{often}",
        hint="its sshd is starting, or takes too few at once (MaxStartups in sshd_config(5)): --width 10 asks fewer",
    )


def late(host: Host, seconds: float) -> Timeout:
    """Return the error for a command that was stopped at its deadline."""
    return Timeout(f"no end on {host.name} within {seconds:g} s; it was stopped", hint="--timeout gives it longer")


def lost(host: Host, began: bool, why: BaseException | None = None) -> NotReady:
    """Return the error for a connection that broke, `began` when the command may have run."""
    reason = f": {why}" if str(why or "") else ""
    then = "while the command ran; it may have gone on" if began else "before the command began"
    return NotReady(f"the connection to {host.name} broke {then}{reason}", hint=_look(host), details={"began": began})


def nowhere(host: Host) -> NotReady:
    """Return the error for a host without an address."""
    return NotReady(f"{host.name} has no address yet", hint=f"cms vm wait {host.name}")


def local(error: OSError, what: str) -> CloudmsError:
    """Return the error for a file of this machine that cannot be written or read."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoCapacity(f"{what}: {error.strerror}", hint="free space on this machine's disk")
    if error.errno == errno.ENOENT:
        return NotFound(f"{what}: {error.strerror}", hint="look at its name")
    return Denied(f"{what}: {error.strerror or error}", hint="look at the rights of the folder")


def of_connection(host: Host, error: BaseException) -> CloudmsError:
    """Return the error for what connecting raised."""
    if isinstance(error, CloudmsError):
        return error
    if isinstance(error, TurnedAway):
        return turned_away(host, error.times)
    kind = type(error).__name__
    if kind == "HostKeyNotVerifiable" or (kind == "KeyExchangeFailed" and "host key" in str(error).lower()):
        return changed(host)
    if kind == "PermissionDenied":
        return Denied(
            f"{host.name} lets {host.login or 'you'} in with none of the keys",
            hint=f"cms vm info {host.name} shows login and key" if host.alias else f"ssh {host.name} shows why",
        )
    if isinstance(error, TimeoutError):
        return NotReady(f"{_place(host)} did not answer", hint=_look(host))
    if isinstance(error, OSError):
        return NotReady(f"{_place(host)} cannot be reached: {_reason(error)}", hint=_look(host))
    return NotReady(f"{_place(host)} cannot be used: {_words(error)}", hint=_look(host))


def _reason(error: OSError) -> str:
    known: dict[int | None, str] = {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset",
        errno.EHOSTUNREACH: "no route to host",
        errno.ENETUNREACH: "network unreachable",
        errno.ETIMEDOUT: "no answer",
        errno.EMFILE: "too many open files",
    }
    return known.get(error.errno) or error.strerror or str(error) or type(error).__name__


def _words(error: Any) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__).strip().rstrip(".")


def _place(host: Host) -> str:
    return f"{host.name} ({host.address}:{host.port or 22})"


def _look(host: Host) -> str:
    return f"cms vm status {host.name}" if host.alias else f"ssh {host.name} shows why"
