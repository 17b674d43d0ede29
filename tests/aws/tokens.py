"""Client tokens: the same request twice makes one thing.

https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

from typing import Any

from tests.aws.rules import after, before
from tests.aws.wire import Call, Refused, Reply, below, text_of, written
from tests.aws.world import Token, World

_LONGEST = 64


def _key(call: Call) -> tuple[str, str, str] | None:
    token = call.params.get("ClientToken")
    return (call.region, call.action, token) if token else None


def _request(call: Call) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in call.params.items() if name not in ("ClientToken", "Version"))


@before("RunInstances", "CreateVolume")
def remember_or_repeat(world: World, call: Call) -> Reply | None:
    """Answer a request whose token is known as the first time, and refuse another request with its token."""
    key = _key(call)
    if key is None:
        return None
    if len(key[2]) > _LONGEST or not key[2].isascii():
        raise Refused("InvalidParameterValue", "Value for clientToken is longer than 64 ASCII characters")
    known = world.tokens.get(key)
    if known is None:
        call.notes["request"] = _request(call)
        return None
    if known.request != _request(call):
        raise Refused("IdempotentParameterMismatch", "Arguments on this idempotent request are inconsistent with it")
    if call.action == "RunInstances":
        return Reply(body=_as_now(known))
    return Reply(body=known.body)


def _as_now(known: Token) -> bytes:
    """Return the first answer with the states of now. Raises: Refused."""
    if all(each.state == "terminated" for each in known.made):
        raise Refused("IdempotentInstanceTerminated", "The instance of this client token was terminated")
    root = Reply(body=known.body).tree()
    states = {each.id: each for each in known.made}
    for item in below(root, "instancesSet/item"):
        instance: Any = states[text_of(item, "instanceId")]
        (state,) = below(item, "instanceState")
        below(state, "code")[0].text, below(state, "name")[0].text = str(instance.state_code), instance.state
    return written(root)


@after("RunInstances", "CreateVolume")
def keep_token(world: World, call: Call, reply: Reply) -> Reply:
    """Remember what the token made."""
    key = _key(call)
    if key is not None:
        world.tokens[key] = Token(call.notes["request"], reply.body, call.notes.get("made", []))
    return reply


@before("DescribeInstances")
def filter_by_token(world: World, call: Call) -> Reply | None:
    """Know the filter client-token, which moto does not."""
    filters = call.filters()
    wanted = filters.pop("client-token", None)
    if wanted is None:
        return None
    instances = world.backend(call.region).all_instances()
    found = [each.id for each in instances if each.client_token in wanted]
    call.set_filters({**filters, "instance-id": found or ["i-none"]})
    return None
