"""What we keep on a domain, in libvirt's metadata, so that any catalog can tell whose it is and how to reach it.

One element `vm` in our own namespace. `setMetadata` wants it without any and puts all of it there; `metadata` gives it
back without, so that readers must not care:

    <cms:vm xmlns:cms="urn:cloudms:vm:1" token="…" owner="ada@lab" image="micro" …>
      <label name="role" value="web"/>
      <forward address="127.77.3.4" port="2222" guest="22"/>
    </cms:vm>
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from cloudms.record import Record

NAMESPACE = "urn:cloudms:vm:1"
PREFIX = "cms"
ELEMENT = f"{{{NAMESPACE}}}vm"

_TEXTS = (
    "token", "files", "owner", "image", "base", "flavor", "login", "key_name", "group", "private_ip", "intent",
    "target",
)  # fmt: skip
_NUMBERS = ("created", "expires", "intent_at")
_FLAGS = ("protected", "adopted", "keep_stopped", "was_on")

register_namespace(PREFIX, NAMESPACE)


class Tags(Record):
    """Our part of a domain's metadata.

    `token` is the creation token; `files` the one the names of its files have (another than `token` only after an
    adoption from another catalog); `base` the key of the base image; `forwards` are address → host port → guest port.
    `intent` is a change that was begun at `intent_at` (epoch seconds) and not yet seen to end: create, stop, rebuild
    (to the image `target`), copy or delete; `was_on`, whether it ran before.
    """

    token: str = ""
    files: str = ""
    owner: str = ""
    image: str = ""
    base: str = ""
    flavor: str = ""
    login: str = ""
    key_name: str = ""
    group: str = ""
    private_ip: str = ""
    created: float | None = None
    expires: float | None = None
    protected: bool = False
    adopted: bool = False
    keep_stopped: bool = False
    intent: str = ""
    intent_at: float | None = None
    target: str = ""
    was_on: bool = False
    labels: Mapping[str, str] = {}
    forwards: Mapping[str, Mapping[int, int]] = {}

    def to_element(self) -> Element:
        """Return the element for a domain's `<metadata>`."""
        return self._fill(Element(ELEMENT))

    def to_text(self) -> str:
        """Return what `setMetadata` takes: it adds the namespace itself."""
        return tostring(self._fill(Element("vm")), "unicode")

    def _fill(self, root: Element) -> Element:
        for name in _TEXTS:
            if getattr(self, name):
                root.set(name, getattr(self, name))
        for name in _NUMBERS:
            if getattr(self, name) is not None:
                root.set(name, repr(float(getattr(self, name))))
        for name in _FLAGS:
            if getattr(self, name):
                root.set(name, "yes")
        for name, value in sorted(self.labels.items()):
            SubElement(root, "label", name=name, value=value)
        for address, ports in self.forwards.items():
            for port, guest in ports.items():
                SubElement(root, "forward", address=address, port=str(port), guest=str(guest))
        return root

    @property
    def file_token(self) -> str:
        """Return the token in the names of its files; empty when its files are not ours."""
        return self.files or ("" if self.adopted else self.token)


def from_domain(domain: Element) -> Tags | None:
    """Return our tags of a parsed domain, or None when it has none."""
    element = domain.find(f"metadata/{ELEMENT}")
    return None if element is None else from_element(element)


def from_element(element: Element) -> Tags:
    """Return the tags of the element; what cannot be read is as if it were not there."""
    values: dict[str, Any] = {name: element.get(name, "") for name in _TEXTS}
    values.update({name: _number(element.get(name)) for name in _NUMBERS})
    values.update({name: element.get(name) == "yes" for name in _FLAGS})
    values["labels"] = {each.get("name", ""): each.get("value", "") for each in element.findall("{*}label")}
    forwards: dict[str, dict[int, int]] = {}
    for each in element.findall("{*}forward"):
        port, guest = _number(each.get("port")), _number(each.get("guest"))
        if port is not None and guest is not None:
            forwards.setdefault(each.get("address", ""), {})[int(port)] = int(guest)
    return Tags(**values, forwards=forwards)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
