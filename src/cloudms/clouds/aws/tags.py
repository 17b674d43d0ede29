"""What we keep on AWS in tags, so that any catalog can tell whose a thing is, and the readers of it.

Keys begin with `cms:`; other tags are labels. An instance shows its tags to its own guest, which allows letters, digits
and `+ - = . , _ : @` in keys only (no space, no `/`): a label with another key is kept below `cms:label:` with its odd
bytes as `@2F`. Rules of tags: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html and
…/work-with-tags-in-IMDS.html.

VMs of one request share their tags: `cms:token` is the token of the request, `cms:batch` their number, and `cms:names`
(with `cms:names.2` … when longer than a tag) the host list of their names. The launch index tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.notes import BATCH, GROUP, NAMES, OWNER, PREFIX, TOKEN
from cloudms.errors import Invalid

NAME, SAVED, INTENT = "cms:name", "cms:saved", "cms:intent"
LABEL = "cms:label:"
POOL = "cms:pool"
"""The tag of an elastic IP that outlives the VM it leads to."""
SHOWN = "Name"
"""The tag that AWS's own console shows as the name."""
MOST = 50
LONGEST_VALUE = 256
LONGEST_KEY = 128

_SAFE = r"(?!(?i:aws):|cms:|Name$|_index$|\.{1,2}$)[A-Za-z0-9+\-=.,_:@]{1,128}"


class Tags(notes.Notes):
    """Our tags on one thing.

    `intent` is a change that was begun and has not ended (`alter`); `saved` the time of the launch whose memory is on
    disk.
    """

    intent: str = ""
    saved: float | None = None

    def pairs(self) -> dict[str, str]:
        """Return all tags as AWS keeps them, without those of a batch. Raises: Invalid (more than AWS takes)."""
        own = {SHOWN: self.name, NAME: self.name, SAVED: notes.time_text(self.saved), INTENT: self.intent}
        return checked({key: value for key, value in own.items() if value} | self.said() | label_pairs(self.labels))


def of(row: Mapping[str, Any], key: str = "Tags") -> Tags:
    """Return our tags of a thing that AWS described; what cannot be read is as if it were not there."""
    pairs = plain(row.get(key) or ())
    found, index = notes.heard(pairs), row.get("AmiLaunchIndex")
    if found["batch"] and found["token"] and isinstance(index, int):
        found["token"] = f"{found['token']}.{index + 1}"
    name = pairs.get(NAME) or (_name_in_batch(pairs, index) if found["batch"] else "") or pairs.get(SHOWN, "")
    return Tags(
        **found, name=name, intent=pairs.get(INTENT, ""), saved=notes.time_of(pairs.get(SAVED)), labels=labels(pairs)
    )


def plain(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return AWS's list of tags as a dict."""
    return {str(tag["Key"]): str(tag.get("Value") or "") for tag in listed if tag.get("Key")}


def listed(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS wants them."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def specification(kinds: Sequence[str], pairs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return `TagSpecifications` that put the same tags on several kinds of things (instance, volume …)."""
    return [{"ResourceType": kind, "Tags": listed(pairs)} for kind in kinds]


def filters(**wanted: str | Sequence[str]) -> list[dict[str, Any]]:
    """Return `Filters`: `token`, `owner` … are our tags, every other word is AWS's own with `_` for `-`."""
    ours = {"token": TOKEN, "owner": OWNER, "name": NAME, "group": GROUP}
    found = []
    for word, value in wanted.items():
        name = f"tag:{ours[word]}" if word in ours else word.replace("_", "-")
        found.append({"Name": name, "Values": [value] if isinstance(value, str) else list(value)})
    return found


def checked(pairs: dict[str, str]) -> dict[str, str]:
    """Return tags when AWS takes them. Raises: Invalid (too many, or a key or value too long)."""
    if len(pairs) > MOST:
        raise Invalid(f"{len(pairs)} tags are more than the {MOST} that AWS takes", hint="give fewer labels")
    for key, value in pairs.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise Invalid(
                f"the label {key.removeprefix(LABEL)[:40]} is too long for a tag of AWS",
                hint=f"keys up to {LONGEST_KEY}, values up to {LONGEST_VALUE} characters",
            )
    return pairs


def batch_pairs(names: Sequence[str]) -> dict[str, str]:
    """Return the tags that tell the VMs of one request apart. Raises: Invalid (their names do not fit)."""
    text = notes.names_text(names)
    shown = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
    return {SHOWN: shown, BATCH: str(len(names)), **notes.names_pairs(names, NAMES, LONGEST_VALUE)}


def label_pairs(given: Mapping[str, str]) -> dict[str, str]:
    """Return labels as tags."""
    return {(key if re.fullmatch(_SAFE, key) else LABEL + _quoted(key)): value for key, value in given.items()}


def labels(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the labels among tags: all that is neither ours nor AWS's own nor the name."""
    found = {}
    for key, value in pairs.items():
        if key.startswith(LABEL):
            found[_unquoted(key.removeprefix(LABEL))] = value
        elif key != SHOWN and not key.startswith((PREFIX, "aws:")):
            found[key] = value
    return found


def _name_in_batch(pairs: Mapping[str, str], index: Any) -> str:
    """Return the name at the launch index, or an empty string when the tags do not say it."""
    listed = notes.names_of(pairs, NAMES)
    return listed[index] if isinstance(index, int) and 0 <= index < len(listed) else ""


def _quoted(key: str) -> str:
    return re.sub(rb"[^A-Za-z0-9+\-=.,_:]", lambda found: b"@%02X" % found[0][0], key.encode()).decode()


def _unquoted(text: str) -> str:
    raw = re.sub(rb"@([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())
    return raw.decode(errors="replace")
