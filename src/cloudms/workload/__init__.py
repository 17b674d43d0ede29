"""The licence-plate workload: the service in VMs, the store of its answers, the load on it, and the proof."""
