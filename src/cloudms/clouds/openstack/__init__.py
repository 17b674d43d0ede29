"""Virtual machines on OpenStack: nova, glance, neutron and cinder behind one keystone."""
