"""What EC2 does not say of an image: the system in it and the user that SSH wants, by its name and owner.

Logins: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/managing-users.html (default user names).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.clouds.guess import SYSTEMS, family, title

AMAZON, CANONICAL, DEBIAN, FEDORA = "137112412989", "099720109477", "136693071363", "125523088429"
REDHAT, SUSE, ROCKY = "309956199498", "013907871322", "792107900819"
OWNERS = ("self", "amazon", CANONICAL, DEBIAN)
"""Whose images are listed when nothing else is said."""


_LOGINS = {
    "debian": "admin", "rhel": "ec2-user", "almalinux": "ec2-user", "suse": "ec2-user", "sles": "ec2-user",
    "freebsd": "ec2-user",
}  # fmt: skip
"""Logins of images for AWS that differ from those of the same systems elsewhere."""
_BY_OWNER = {AMAZON: "al2023", CANONICAL: "ubuntu", DEBIAN: "debian", FEDORA: "fedora", ROCKY: "rocky"}


def system(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the system in an image and its login: by its name, else its owner, else its platform."""
    name = row.get("Name", "").lower()
    word = family(name) or _BY_OWNER.get(row.get("OwnerId", ""), "")
    if row.get("Platform") == "windows":
        word = "windows"
    known = SYSTEMS.get(word)
    if known is None:
        return str(row.get("PlatformDetails") or ""), "ec2-user"
    return title(word, name), _LOGINS.get(word, known.login)


def seconds(text: Any) -> float | None:
    """Return a time as EC2 writes it in images (2024-05-01T12:00:00.000Z) in epoch seconds, None when it is none."""
    try:
        days = _days(text[:10])
        return days + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + float(text[17:].rstrip("Z"))
    except (TypeError, ValueError):
        return None


_known_days: dict[str, float] = {}


def _days(day: str) -> float:
    """Return the epoch seconds at which a day begins; days come again and again. Raises: ValueError."""
    found = _known_days.get(day)
    if found is None:
        from datetime import UTC, datetime

        found = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
        _known_days[day] = found
    return found
