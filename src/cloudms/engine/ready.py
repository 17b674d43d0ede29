"""Waiting until a VM is ready: it runs, SSH lets us in, and its first boot has finished."""

from __future__ import annotations

from cloudms import ssh
from cloudms.clouds.base import Cloud, Console
from cloudms.engine.plan import Work
from cloudms.engine.refresh import merged
from cloudms.engine.vms import check_cancel, current
from cloudms.errors import CloudmsError, Denied, Invalid, Timeout
from cloudms.model import Vm, VmState

DEFAULT_TIMEOUT = 600.0
"""Seconds until a wait for a VM gives up; a full cloud image needs a minute or more under emulation."""

_PROBE = 0.05
"""Seconds between two looks for the SSH banner."""
_RARE = 1.0
"""Seconds between two looks through QEMU's forwards while the guest has not printed its host keys: each connection that
nobody answers is tried again for more than a minute, and an SSH server met by all of them at once closes others.
"""
_QUICK = 20.0
"""Seconds during which an SSH server that does not answer at once is taken for one that is not there yet."""
_LOGIN_S, _LOGIN_MOST_S = 10, 60
"""Seconds an SSH server has for its side of the first connection, and of later ones."""
_LOGIN_FAILURES = 8
"""How often an SSH server may refuse our key before it is believed (keys arrive during first boot)."""

_ANCHOR = 400
"""Characters at the end of a console by which what is printed later is told from what was there."""

FIRST_BOOT = "command -v cloud-init >/dev/null 2>&1 || exit 0; cloud-init status --wait >/dev/null 2>&1"
"""Ends when the first boot has: 0 done, 1 failed, 2 done with recoverable errors (cloud-init's documented codes)."""


def wait_ready(work: Work, cloud: Cloud, vm: Vm, timeout: float | None) -> Vm:
    """Wait until `vm` is ready and return it. Raises: Timeout with the end of its console, Invalid, Interrupted."""
    waiting = _Waiting(work, cloud, vm, DEFAULT_TIMEOUT if timeout is None else timeout)
    waiting.running()
    said = cloud.ready(waiting.vm)
    while said:
        waiting.next(said, 0.25)
        said = cloud.ready(waiting.vm)
    if said is None:
        waiting.banner()
        waiting.pin()
        waiting.login()
    return current(work.ctx, waiting.vm)


class _Waiting:
    """The steps of one wait, with one deadline over all of them."""

    def __init__(self, work: Work, cloud: Cloud, vm: Vm, timeout: float) -> None:
        self.work = work
        self.cloud = cloud
        self.vm = vm
        self.timeout = timeout
        self.clock = work.ctx.clock
        self.end = self.clock.monotonic() + timeout
        self.looked = self.clock.monotonic()

    def running(self) -> None:
        """Wait for power and an address."""
        while self.vm.state is not VmState.RUNNING:
            if self.vm.state is VmState.ERROR:
                raise Invalid(f"{self.vm.name} went to error: {self.vm.reason}", hint=f"cms vm console {self.vm.name}")
            self.next(str(self.vm.state), 0.25)
            self.look()

    def banner(self) -> None:
        """Wait until an SSH server answers."""
        begun = self.clock.monotonic()
        console = _Console(self.cloud, self.vm)
        while not (self.vm.ssh_host and ssh.answers(self.vm.ssh_host, self.vm.ssh_port, self.patience(begun))):
            looked = self.clock.monotonic()
            self.next("waiting for SSH" if self.vm.ssh_host else "waiting for an address", _PROBE)
            while self.clock.monotonic() - looked < _RARE and console.awaits_keys(self.vm):
                self.next("waiting for SSH", _PROBE)
            if self.clock.monotonic() - self.looked > 2.0:
                self.look()
                self.running()
                self.mend()

    def patience(self, begun: float) -> float | None:
        """Return the seconds an SSH server has for its banner: more with time, or a slow one would never be done."""
        waited = self.clock.monotonic() - begun
        return None if waited < _QUICK else min(waited / 10, 10.0)

    def mend(self) -> None:
        """Bring back the way to a VM whose start was interrupted or whose forwards are gone."""
        if self.cloud.detached(self.vm):
            self.work.report("bringing back its forwards")
            self.vm = merged(self.vm, self.cloud.mend(self.vm), self.clock.now())

    def pin(self) -> None:
        """Pin the host key that the guest printed on its console, where the cloud shows it."""
        if isinstance(self.cloud, Console) and not ssh.pinned(self.vm):
            keys = ssh.host_keys(self.cloud.console_log(self.vm))
            if keys:
                ssh.pin(self.vm, keys)

    def login(self) -> None:
        """Log in and wait until the first boot has finished."""
        refused, patience = 0, _LOGIN_S
        while True:
            self.work.report("logging in, waiting for the first boot to finish")
            result = ssh.run(self.vm, [FIRST_BOOT], timeout=self.left(), connect_timeout=patience)
            if result.exit != ssh.UNREACHED:
                break
            patience = min(patience * 2, _LOGIN_MOST_S)  # a guest that emulates slowly needs it for its key exchange
            refused += "denied" in result.stderr or "verification failed" in result.stderr
            if refused >= _LOGIN_FAILURES:
                raise Denied(
                    f"{self.vm.name} refuses to let {self.vm.login or 'root'} in: {_last_line(result.stderr)}",
                    hint=f"cms vm console {self.vm.name}",
                )
            self.next("waiting for login", 0.3)
        if result.exit == 1:
            self.work.ctx.warn(f"{self.vm.name}: its first boot reports an error (cloud-init status --long on the VM)")

    def look(self) -> None:
        """Ask the cloud for the VM again."""
        self.looked = self.clock.monotonic()
        self.vm = merged(self.vm, self.cloud.get_vm(self.vm), self.clock.now())

    def left(self) -> float:
        """Return the seconds until the deadline, at least a tenth."""
        return max(0.1, self.end - self.clock.monotonic())

    def next(self, text: str, pause: float) -> None:
        """Tell what is waited for and wait a little. Raises: Timeout, Interrupted."""
        self.work.report(text)
        if self.clock.monotonic() >= self.end:
            raise Timeout(
                f"{self.vm.name} is not ready after {self.timeout:g} s ({text}); it is kept{self.console_tail()}",
                hint=f"cms vm wait {self.vm.name}, or cms vm console {self.vm.name}",
                details={"waiting_for": text, "vm": self.vm.name},
            )
        check_cancel(self.work)
        self.work.ctx.pause(pause)

    def console_tail(self) -> str:
        """Return the last line of the console for the message, where there is one."""
        if not isinstance(self.cloud, Console):
            return ""
        try:
            last = _last_line(self.cloud.console_log(self.vm))
        except CloudmsError:
            return ""
        return f"; its console ends with: {last}" if last else "; its console is empty"


class _Console:
    """What a guest behind QEMU's forwards prints from now on; it prints its host keys right before SSH starts."""

    def __init__(self, cloud: Cloud, vm: Vm) -> None:
        self.cloud = cloud
        self.before = (self.text(vm) or "")[-_ANCHOR:]
        self.printed = False

    def text(self, vm: Vm) -> str | None:
        """Return the console's text; None where it cannot be had, or SSH is not reached through a forward."""
        if not (isinstance(self.cloud, Console) and vm.ssh_host.startswith("127.")):
            return None
        try:
            return self.cloud.console_log(vm)
        except CloudmsError:
            return None

    def awaits_keys(self, vm: Vm) -> bool:
        """Whether the guest's host keys are still to come."""
        if self.printed or (text := self.text(vm)) is None:
            return False
        fresh = text.rpartition(self.before)[2] if self.before else text
        self.printed = bool(ssh.host_keys(fresh))
        return not self.printed


def _last_line(text: str) -> str:
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    return next((line[-160:] for line in reversed(lines) if line), "")
