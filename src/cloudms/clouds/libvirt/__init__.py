"""VMs of libvirt and QEMU: on this machine without any set-up, or on any host that a libvirt URI reaches."""
