"""The security groups of the fake cloud, and which VMs are in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cloudms.clouds.base import SecGroups, Spread
from cloudms.clouds.fake import machine, offers, placing, views
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.vms import FakeVms
from cloudms.errors import Conflict, Exists, Invalid, NotFound
from cloudms.model import Rule, SecGroup


class FakeSecGroups(FakeVms, SecGroups, Spread):
    """Security groups; VMs that are to be spread stand on hosts of their own."""

    def list_secgroups(self) -> Iterable[SecGroup]:
        """Return the security groups."""
        return self.listing(
            "list_secgroups",
            lambda world, now: (views.secgroup(world, doc, self.name, now) for doc in world["secgroups"].values()),
        )

    def create_secgroup(self, name: str, description: str, token: str, region: str = "") -> SecGroup:
        """Make a group without rules; idempotent by token. Raises: Exists, NotFound (region), Invalid (name)."""
        if not name:
            raise Invalid("a security group needs a name", hint="for instance web")

        def create(world: Doc, now: float) -> SecGroup:
            docs = world["secgroups"].values()
            made = next((doc for doc in docs if token and doc["token"] == token), None)
            if made is None:
                where = offers.location(self.name, region) if region else offers.locations(self.name)[0]
                if any((doc["name"], doc["region"]) == (name, where.name) for doc in docs):
                    raise Exists(f"cloud '{self.name}' has a security group '{name}'", hint="choose another name")
                made = {
                    "id": self.number(world, "sg"), "name": name, "description": description, "token": token,
                    "rules": [], "owner": self.setup.owner, "region": where.name,
                }  # fmt: skip
                world["secgroups"][made["id"]] = made
            return views.secgroup(world, made, self.name, now)

        return self.alter("create_secgroup", name, create, token, description)

    def delete_secgroup(self, group: SecGroup) -> None:
        """Delete a group; already gone is success. Raises: Conflict while VMs are in it, or rules name it."""

        def delete(world: Doc, now: float) -> None:
            members = [vm["name"] for vm in self.living(world, now) if _in(vm, group.id)]
            users = [doc["name"] for doc in world["secgroups"].values() if _named(doc, group.id)]
            if members or users:
                users = [f"rules of {name}" for name in users]
                text = f"security group '{group.name}' is used by {', '.join([*members, *users][:3])}"
                raise Conflict(text, hint="delete these first")
            world["secgroups"].pop(group.id, None)

        self.alter("delete_secgroup", group.name, delete, group.id)

    def add_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Let something through; the same rule again is success. Raises: NotFound (group, or the one it names)."""

        def add(world: Doc, doc: Doc, wanted: Doc) -> None:
            if not any(_same(each, wanted) for each in doc["rules"]):
                doc["rules"].append({**wanted, "id": self.number(world, "rule")})

        return self._rules("add_rule", group, rule, add)

    def remove_rule(self, group: SecGroup, rule: Rule) -> SecGroup:
        """Stop letting it through; a rule that is not there is success. Raises: NotFound (group)."""

        def remove(_world: Doc, doc: Doc, wanted: Doc) -> None:
            doc["rules"] = [each for each in doc["rules"] if not _same(each, wanted) and each["id"] != rule.id]

        return self._rules("remove_rule", group, rule, remove)

    def _rules(self, call: str, group: SecGroup, rule: Rule, change: Callable[[Doc, Doc, Doc], None]) -> SecGroup:
        def work(world: Doc, now: float) -> SecGroup:
            doc: Doc | None = world["secgroups"].get(group.id)
            if doc is None:
                raise NotFound(
                    f"cloud '{self.name}' has no security group '{group.name}'", hint="cms secgroup list --refresh"
                )
            change(world, doc, {**rule.to_document(), "remote": self._remote(world, rule, doc["region"])})
            return views.secgroup(world, doc, self.name, now)

        return self.alter(call, group.name, work, rule.text)

    def _remote(self, world: Doc, rule: Rule, region: str) -> str:
        """Return the addresses of a rule, or the id of the group that it names. Raises: NotFound."""
        if not rule.remote or "/" in rule.remote:
            return rule.remote
        return placing.secgroups(world, [rule.remote], region, self.name)[0]


def _in(vm: Doc, group: str) -> bool:
    """Whether a VM that is neither gone nor going is in a group."""
    return group in vm.get("secgroups", ()) and machine.state(vm) not in machine.ENDED


def _named(doc: Doc, group: str) -> bool:
    """Whether a rule of another group names a group."""
    return doc["id"] != group and any(rule["remote"] == group for rule in doc["rules"])


def _same(one: Doc, other: Doc) -> bool:
    return all(one[name] == other[name] for name in ("direction", "protocol", "first", "last", "remote"))
