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
_LOGIN_FAILURES = 8
"""How often an SSH server may refuse our key before it is believed (keys arrive during first boot)."""

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
        while not (self.vm.ssh_host and ssh.answers(self.vm.ssh_host, self.vm.ssh_port)):
            self.next("waiting for SSH" if self.vm.ssh_host else "waiting for an address", _PROBE)
            if self.clock.monotonic() - self.looked > 2.0:
                self.look()
                self.running()
                self.mend()

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
        refused = 0
        while True:
            self.work.report("logging in, waiting for the first boot to finish")
            result = ssh.run(self.vm, [FIRST_BOOT], timeout=self.left(), connect_timeout=10)
            if result.exit != ssh.UNREACHED:
                break
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


def _last_line(text: str) -> str:
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    return next((line[-160:] for line in reversed(lines) if line), "")
