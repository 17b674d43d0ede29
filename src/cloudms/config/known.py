"""What the ancestors' files may say: kinds of clouds, sections and keys, for warnings with the nearest known name."""

from __future__ import annotations

from cloudms.config.tree import is_entry_credential

KINDS = ("libvirt", "fake", "aws", "azure", "openstack", "libcloud", "condor")
"""The kinds of clouds this house has a word for; which of them can be opened is the registry's business."""

KIND_ALIASES = {"ec2": "aws", "awslibcloud": "aws", "kvm": "libvirt", "qemu": "libvirt", "htcondor": "condor"}

ROOT = ("cloudmesh", "meta")

SECTIONS = (
    "version", "profile", "security", "default", "cloud", "clouds", "compute", "provider", "storage", "volume",
    "database", "data", "registry", "cluster", "active", "location", "hpc", "github", "comet", "keys", "portal",
    "system", "logging", "alias", "name", "refresh", "ttl", "credentials", "inventory", "launcher", "mongodb",
    "catalog", "ceiling", "rightsize", "scaler",
)  # fmt: skip

UNUSED = ("storage", "volume", "database", "data", "registry", "cluster", "hpc", "comet", "portal", "launcher")
"""Sections that are kept and not used."""

PROFILE = ("firstname", "lastname", "email", "user", "username", "github", "publickey", "name", "path")

SECURITY = ("encryption", "publickey", "privatekey", "secpath", "secrets", "exceptions")

CM = (
    "active", "heading", "host", "label", "kind", "version", "service", "name", "type", "status", "driver",
)  # fmt: skip

ENTRY = (
    "cm", "default", "credentials", "options", "kind", "active", "like", "location", "image", "size", "flavor",
    "cm_heading", "cm_host", "cm_label", "cm_type", "cm_type_version", "cm_openrc", "cm_service_url_type",
)  # fmt: skip

VM_DEFAULT = (
    "image", "flavor", "size", "location", "region", "username", "login", "network", "key", "keypair", "secgroup",
    "security_group", "disk", "cpu", "mem", "cloudinit", "user_data", "ttl", "wait", "ports", "name",
)  # fmt: skip
"""Defaults of a VM; under `cloudmesh.default` they fill in for clouds of the file that do not say it themselves."""

DEFAULT = (
    *VM_DEFAULT, "group", "resource_group", "storage_account", "subnet", "blob_container", "path", "os", "version",
    "AZURE_VM_IP_CONFIG", "AZURE_VM_NIC", "AZURE_VM_DISK_NAME", "AZURE_VM_USER", "AZURE_VM_PASSWORD", "AZURE_VM_NAME",
    "queue", "experiment_dir", "prefix",
)  # fmt: skip

GLOBAL_DEFAULT = (
    *VM_DEFAULT, "group", "experiment", "cloud", "cluster", "trace", "debug", "timer", "refresh", "vm",
)  # fmt: skip

CEILING = ("max_vms", "max_price_per_hour")
"""What may run at once, and cost: of all clouds together below `ceiling`, and of each cloud in its entry."""

RIGHTSIZE = ("target",)
"""What `vm rightsize` goes by."""

EVERY_OPTION = ("calls_per_second", "confirm_within", "jump", *CEILING)

OPTIONS = {
    "libvirt": ("uri", "accel", "flavors", "ports", "pool", "pool_path", "forward_address", "machine"),
    "fake": (
        "boot_seconds", "ready_seconds", "stop_seconds", "change_seconds", "delete_seconds", "linger_seconds",
        "unique_names", "confirm_resize", "quota_vms", "max_volume_gib", "addresses", "foreign", "refuse", "faults",
        "calls", "state",
    ),
    "aws": (
        "profile", "endpoint", "region", "regions", "max_retries", "connect_timeout", "read_timeout", "subnet",
        "security_group", "instance_profile", "imds", "encrypted", "spot", "hibernate", "owners", "walkers", "flavors",
    ),
    "openstack": (
        "cloud", "clouds_yaml", "endpoint", "region", "regions", "zone", "interface", "cacert", "verify",
        "connect_timeout", "read_timeout", "network", "floating_pool", "security_group", "boot_from_volume",
        "volume_type", "config_drive", "server_group", "flavors", "prices", "currency",
    ),
    "azure": ("endpoint", "subscription"),
    "libcloud": ("provider", "driver"),
    "condor": ("pool", "schedd"),
}  # fmt: skip
"""Keys a cloud's entry may have beside the sections, by kind; those of EVERY_OPTION in any."""

CREDENTIALS = {
    "aws": (
        "EC2_ACCESS_ID", "EC2_ACCESS_KEY", "EC2_SECRET_KEY", "EC2_URL", "EC2_SECURITY_GROUP",
        "EC2_PRIVATE_KEY_FILE_PATH", "EC2_PRIVATE_KEY_FILE_NAME", "EC2_PRIVATE_KEY", "EC2_CERT", "EC2_USER_ID",
        "NOVA_CERT", "EUCALYPTUS_CERT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "EC2_REGION",
        "region", "region_name", "keyname", "userid", "profile", "access_key", "access_key_id", "aws_access_key_id",
        "secret_key", "secret_access_key", "aws_secret_access_key", "session_token", "aws_session_token", "key",
        "secret",
    ),
    "openstack": (
        "auth", "username", "password", "auth_url", "project_id", "project_name", "user_domain_name",
        "project_domain_name", "user_domain_id", "project_domain_id", "application_credential_id",
        "application_credential_secret", "auth_type", "region_name", "interface", "identity_api_version", "key_path",
        "cloud", "cacert", "verify", "OS_AUTH_URL", "OS_AUTH_TYPE", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME",
        "OS_PROJECT_ID", "OS_TENANT_NAME", "OS_TENANT_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID",
        "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID", "OS_IDENTITY_API_VERSION", "OS_INTERFACE", "OS_REGION_NAME",
        "OS_VERSION", "OS_KEY_PATH", "OS_CACERT", "OS_IMAGE_API_VERSION", "OS_VOLUME_API_VERSION", "OS_CLOUD",
        "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET", "OS_TOKEN",
    ),
    "azure": (
        "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_APPLICATION_ID", "AZURE_SECRET_KEY", "AZURE_REGION",
        "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_MANAGEMENT_CERT_PATH", "managementcertfile",
        "servicecertfile", "subscriptionid", "thumbprint",
    ),
}  # fmt: skip
"""Credentials by kind; those of kinds that are not here are not checked."""

REQUIRED = {
    "aws": (
        "EC2_ACCESS_ID", "EC2_ACCESS_KEY", "EC2_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "profile", "access_key", "access_key_id", "aws_access_key_id",
        "secret_key", "secret_access_key", "aws_secret_access_key", "key", "secret",
    ),
    "openstack": (
        "username", "password", "OS_USERNAME", "OS_PASSWORD", "application_credential_id",
        "application_credential_secret", "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET", "cloud",
        "OS_CLOUD", "OS_TOKEN",
    ),
    "azure": (
        "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_APPLICATION_ID", "AZURE_SECRET_KEY", "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET", "subscriptionid", "managementcertfile",
    ),
    "google": ("client_email", "project", "path_to_json_file"),
}  # fmt: skip
"""Of these, what a cloud's file mentions must be set somewhere; when all of it is unset, the cloud is."""

ELSEWHERE = {
    "aws": (
        "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "openstack": ("OS_CLOUD", "OS_AUTH_URL"),
}  # fmt: skip
"""Variables of the environment, by kind, that give credentials whatever the file leaves unset."""

ASKED = {
    "aws": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "openstack": ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME"),
    "azure": ("AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
}  # fmt: skip
"""What a new cloud of a kind needs to log in, in the words of its own tools."""

WORDS = tuple(dict.fromkeys((*ROOT, *SECTIONS, *PROFILE, *SECURITY, *CM, *ENTRY, *DEFAULT)))
"""Every key above the credentials, for the hint of a line that is not YAML."""

_BY_PREFIX = {"EC2": "aws", "AWS": "aws", "OS": "openstack", "AZURE": "azure", "GOOGLE": "google", "OCI": "oracle"}
_BY_KEY = {
    "auth": "openstack", "auth_url": "openstack", "subscriptionid": "azure", "path_to_json_file": "google",
    "compartment_id": "oracle",
}  # fmt: skip


def kind_of(said: str, name: str, credentials: list[str]) -> str:
    """Return the kind of a cloud: what its file `said`, else by its credentials, else by its name, else empty.

    The 2017 file says nothing, and cm4 said `vm` or TBD for every OpenStack.
    """
    said = said.strip().lower()
    if said and said not in ("vm", "tbd"):
        return KIND_ALIASES.get(said, said)
    for key in credentials:
        prefix = key.partition("_")[0]
        by_prefix = _BY_PREFIX.get(prefix) if is_entry_credential(key) else None
        if found := by_prefix or _BY_KEY.get(key):
            return found
    words = [name.lower(), name.lower().partition("-")[0], name.lower().partition("_")[0]]
    named = [KIND_ALIASES.get(word, word) for word in words]
    return next((word for word in named if word in KINDS), "libvirt" if name == "local" else "")
