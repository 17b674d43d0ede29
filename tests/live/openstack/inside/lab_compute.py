"""A hypervisor for a lab without guests: nova's own pretended one, whose VMs survive it and say on their console what
they do.
"""

import io
import time

from nova import context, objects
from nova.compute import power_state
from nova.image import glance
from nova.scheduler.client import report
from nova.virt import fake


def _no_allocations(*_args):
    """Return nothing: nova-compute asks for each VM's own whenever any VM changes, which costs minutes for hundreds."""
    return {}


report.SchedulerReportClient.get_allocations_for_provider_tree = _no_allocations


class Driver(fake.FakeDriverWithoutFakeNodes):
    """The base class that finds its host again at a second start, unlike its siblings."""

    def init_host(self, host):
        """Take back the VMs that stand on this host by nova's record."""
        super().init_host(host)
        self.said = {}
        wanted = ["info_cache", "flavor"]
        for vm in objects.InstanceList.get_by_host(context.get_admin_context(), host, expected_attrs=wanted):
            state = power_state.RUNNING if vm.power_state is None else vm.power_state
            self.instances[vm.uuid] = fake.FakeInstance(vm.name, state, vm.uuid)
            self._interfaces.update((vif["id"], vif) for vif in vm.get_network_info())

    def spawn(self, ctxt, instance, *args, **kwargs):
        """Boot."""
        super().spawn(ctxt, instance, *args, **kwargs)
        self.said[instance.uuid] = []
        self._print_boot(instance)

    def power_on(self, ctxt, instance, *args, **kwargs):
        """Boot again."""
        super().power_on(ctxt, instance, *args, **kwargs)
        self._print_boot(instance)

    def reboot(self, ctxt, instance, *args, **kwargs):
        """Boot again."""
        super().reboot(ctxt, instance, *args, **kwargs)
        self._print_boot(instance)

    def get_console_output(self, _ctxt, instance):
        """Return what was printed since the host was started."""
        return "".join(self.said.get(instance.uuid, ()))

    def _print_boot(self, instance):
        lines = (
            "[    0.000000] Linux version 6.1.0-lab",
            f"{instance.hostname} has booted",
            f"{instance.hostname} login: ",
        )
        self.said.setdefault(instance.uuid, []).append("\n".join((*lines, "")))

    def get_instance_diagnostics(self, instance):
        """Tell what it uses: of its CPU a tenth of the time that passes."""
        told = super().get_instance_diagnostics(instance)
        for cpu in told.cpu_details:
            cpu.time = int(time.monotonic() * 1e8)
        return told

    def snapshot(self, ctxt, instance, image_id, update_task_state):
        """Make an image, which the base class leaves waiting for its bytes."""
        super().snapshot(ctxt, instance, image_id, update_task_state)
        about = {"disk_format": "raw", "container_format": "bare"}
        glance.API().update(ctxt, image_id, about, data=io.BytesIO(instance.uuid.encode()), purge_props=False)
