"""A network driver for a lab without agents: ports are bound and floating IPs served as soon as they are wanted."""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins import constants as plugins
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api


class Driver(api.MechanismDriver):
    """Answers in place of the agents of layers 2 and 3."""

    def initialize(self):
        """Listen to what becomes of floating IPs."""
        registry.subscribe(self.route, resources.FLOATING_IP, events.AFTER_CREATE)
        registry.subscribe(self.route, resources.FLOATING_IP, events.AFTER_UPDATE)

    def bind_port(self, context):
        """Bind the port to its first segment, up at once."""
        segment = context.segments_to_bind[0][api.ID]
        details = {portbindings.CAP_PORT_FILTER: True}
        context.set_binding(segment, portbindings.VIF_TYPE_OVS, details, status=constants.PORT_STATUS_ACTIVE)

    def route(self, _resource, _event, _trigger, payload):
        """Say that a floating IP leads to its port, or that it leads nowhere."""
        leads = bool(payload.latest_state["port_id"])
        status = constants.FLOATINGIP_STATUS_ACTIVE if leads else constants.FLOATINGIP_STATUS_DOWN
        directory.get_plugin(plugins.L3).update_floatingip_status(payload.context, payload.resource_id, status)
