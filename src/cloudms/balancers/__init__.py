"""Balancers: one address for a group, behind which its members come and go without a lost request.

`base` is the contract, `fake` and `haproxy` keep it; `store` knows which group has which; `reach` tells where a member
is reached; `leave` takes one out when it has answered what it has.
"""

from cloudms.balancers.store import end, for_group

__all__ = ["end", "for_group"]
