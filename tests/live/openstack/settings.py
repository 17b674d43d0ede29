"""The configuration of the services, as sections of settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.live.openstack.places import ETC, PASSWORD, PORTS, SOCKET, STATE, VENV, Region, url

Sections = Mapping[str, Mapping[str, object]]


def file_of(program: str, region: Region) -> Path:
    """Return where a program's settings stand."""
    return ETC / region(program) / {"glance": "glance-api.conf"}.get(program, f"{program}.conf")


def database(name: str) -> str:
    """Return the address of a database."""
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={SOCKET}&charset=utf8mb3"


def login(region: Region) -> dict[str, object]:
    """Return how a service logs in to the others of its region."""
    return {
        "auth_type": "password", "auth_url": url("keystone"), "username": "service", "password": PASSWORD,
        "project_name": "service", "user_domain_name": "Default", "project_domain_name": "Default",
        "region_name": region.name,
    }  # fmt: skip


def common(program: str, region: Region) -> dict[str, dict[str, object]]:
    """Return what all of them need: keystone's answers are cached, as each request would otherwise be two."""
    place = STATE / region(program)
    return {
        "DEFAULT": {
            "state_path": place, "host": region("lab"),
            "transport_url": f"rabbit://guest:guest@127.0.0.1:{PORTS['rabbit']}/{region.vhost}",
        },
        "oslo_concurrency": {"lock_path": place / "lock"},
        "oslo_policy": {"policy_file": ETC / region(program) / "policy.yaml"},
        "database": {"connection": database(region(program))},
        "keystone_authtoken": {
            "www_authenticate_uri": url("keystone"), "interface": "public", "service_token_roles_required": True,
            "memcached_servers": f"127.0.0.1:{PORTS['memcached']}", **login(region),
        },
    }  # fmt: skip


def service_user(region: Region) -> dict[str, object]:
    """Return what lets a service detach a volume on behalf of a person."""
    return {"send_service_user_token": True, **login(region)}


def keystone(_region: Region) -> Sections:
    """Return the settings of the accounts: fast hashes, and keys that stay in the lab."""
    place = STATE / "keystone"
    return {
        "identity": {"password_hash_rounds": 4},
        "fernet_tokens": {"key_repository": place / "fernet"},
        "fernet_receipts": {"key_repository": place / "receipts"},
        "credential": {"key_repository": place / "credential"},
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
    }


def glance(_region: Region) -> Sections:
    """Return the settings of the images, which are files."""
    place = STATE / "glance"
    return {
        "DEFAULT": {"enabled_backends": "file:file", "worker_self_reference_url": url("glance")},
        "paste_deploy": {"flavor": "keystone"},
        "glance_store": {"default_backend": "file"},
        "file": {"filesystem_store_datadir": place / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": place / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": place / "tasks"},
    }


def placement(region: Region) -> Sections:
    """Return the settings of the places for VMs."""
    return {"placement_database": {"connection": database(region("placement"))}}


def nova(region: Region) -> Sections:
    """Return the settings of the VMs: no quota, unless a project is given one."""
    return {
        "DEFAULT": {"my_ip": "127.0.0.1", "compute_driver": "lab.Driver", "allow_resize_to_same_host": True},
        "api_database": {"connection": database(region("nova_api"))},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "quota": {"instances": -1, "cores": -1, "ram": -1},
        "placement": login(region),
        "neutron": login(region),
        "cinder": {"catalog_info": "block-storage::publicURL", "os_region_name": region.name, **login(region)},
        "service_user": service_user(region),
    }


def neutron(region: Region) -> Sections:
    """Return the settings of the networks; nova must hear of a floating IP to show it with its VM."""
    return {
        "DEFAULT": {
            "core_plugin": "ml2", "service_plugins": "router,port_forwarding,network_ip_availability",
            "api_paste_config": ETC / region("neutron") / "api-paste.ini", "dhcp_agent_notification": False,
        },
        "nova": login(region),
        "ml2": {
            "type_drivers": "flat,vxlan", "tenant_network_types": "vxlan", "mechanism_drivers": "lab",
            "extension_drivers": "port_security",
        },
        "ml2_type_flat": {"flat_networks": "*"},
        "ml2_type_vxlan": {"vni_ranges": "1:9999"},
        "quotas": dict.fromkeys(
            ("quota_network", "quota_subnet", "quota_router", "quota_port", "quota_floatingip",
             "quota_security_group", "quota_security_group_rule"), -1,
        ),
    }  # fmt: skip


def cinder(region: Region) -> Sections:
    """Return the settings of the volumes."""
    folder = ETC / region("cinder")
    return {
        "DEFAULT": {
            "api_paste_config": folder / "api-paste.ini",
            "resource_query_filters_file": folder / "resource_filters.json", "enabled_backends": "lab",
            "glance_api_servers": url("glance"), "quota_volumes": -1, "quota_gigabytes": -1, "quota_snapshots": -1,
        },
        "lab": {"volume_driver": "lab_volume.Driver", "volume_backend_name": "lab", "target_helper": "fake"},
        "service_user": service_user(region),
    }  # fmt: skip


PROGRAMS = {
    "keystone": keystone, "glance": glance, "placement": placement, "nova": nova, "neutron": neutron, "cinder": cinder,
}  # fmt: skip
SHARED = ("keystone", "glance")
"""Programs that serve both regions."""


RIGHTS = {"nova": {"os_compute_api:os-server-diagnostics": "rule:context_is_admin or role:meter"}}
"""Rights that differ from what the programs come with: whoever has the role `meter` may see what a VM uses."""


def write(program: str, region: Region) -> None:
    """Write the settings of a program, beside the files that its package brings along."""
    sections: dict[str, dict[str, object]] = common(program, region)
    for name, more in PROGRAMS[program](region).items():
        sections[name] = {**sections.get(name, {}), **more}
    folder = ETC / region(program)
    brought = VENV / "etc" / program
    if brought.is_dir():
        shutil.copytree(brought, folder, dirs_exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    (STATE / region(program)).mkdir(parents=True, exist_ok=True)
    file_of(program, region).write_text(rendered(sections))
    if program in RIGHTS:
        (folder / "policy.yaml").write_text(json.dumps(RIGHTS[program]))
    if program == "nova":  # nova-compute must not know the database above the cells
        (folder / "compute.conf").write_text(rendered({k: v for k, v in sections.items() if k != "api_database"}))


def rendered(sections: Sections) -> str:
    """Return sections as the services read them."""
    lines = []
    for name, settings in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in settings.items()), ""]
    return "\n".join(lines)
