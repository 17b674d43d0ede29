"""Where the balancer of this machine reaches a port of a VM."""

from __future__ import annotations

from cloudms.clouds.base import Addresses
from cloudms.context import Context
from cloudms.errors import CloudmsError, NotReady
from cloudms.model import Vm


def where(ctx: Context, vm: Vm, port: int) -> tuple[str, int]:
    """Return host and port at which a TCP port of a VM is reached from here: a forward to it, else its own address.

    Raises: NotReady (it has no address, or its port is not forwarded), and what its cloud raises.
    """
    forwarding = False
    cloud = ctx.cloud(vm.cloud)
    if isinstance(cloud, Addresses) and not cloud.supports(Addresses, vm):
        for address in cloud.list_addresses():
            if address.vm != vm.name:
                continue
            forwarding = forwarding or bool(address.ports)
            for host_port, guest_port in sorted(address.ports.items()):
                if guest_port == port:
                    return address.name, int(host_port)
    if forwarding:
        raise NotReady(
            f"port {port} of {vm.name} is not forwarded", hint=f"cms vm ip set {vm.name} --port {port}={port}"
        )
    host = next(iter((*vm.public_ips, *vm.private_ips)), "") or vm.ssh_host
    if not host:
        raise NotReady(f"{vm.name} has no address yet", hint=f"cms vm wait {vm.name}")
    return host, port


def reached(ctx: Context, vm: Vm, port: int) -> tuple[str, int] | None:
    """Return where a port of a VM is reached, or None while it is not, or its cloud does not answer."""
    try:
        return where(ctx, vm, port)
    except CloudmsError:
        return None
