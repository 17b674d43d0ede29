"""Where requests may come from: names that a web page of somebody else cannot point here, and no other site's pages.

A page of any site can make a browser send requests to this machine, and, by changing what its own name resolves to,
read the replies (DNS rebinding). The name in the Host header tells: it is then the page's own.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from cloudms.errors import Denied

_OWN_SITE = ("", "same-origin", "none")


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, which no other machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def name_of(host: str) -> str:
    """Return the name or address of a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def check(host: str, origin: str, site: str, *, scheme: str, address: str, allowed: Collection[str]) -> None:
    """Refuse a request for another name than ours, or from a page of another site.

    Parameters: `host`, `origin` and `site`, the headers Host, Origin and Sec-Fetch-Site; `address`, where the
    connection came in; `allowed`, names beside those of this machine. Raises: Denied.
    """
    name = name_of(host)
    if not name or not (is_loopback(name) or name == address or name in allowed):
        raise Denied(f"'{name[:80]}' is no name of this service", hint="cms serve --allow-host NAME lets it be one")
    if site not in _OWN_SITE or (origin and origin.lower() != f"{scheme}://{host.lower()}"):
        raise Denied("pages of other sites are refused", hint="call it from a program, or from its own pages")
