"""Virtual machines: boot, watch, change and delete them on any cloud."""
