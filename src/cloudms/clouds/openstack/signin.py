"""How one signs in to an OpenStack: keys in every spelling of the ancestors, clouds.yaml, or the environment.

Words of keystone's plug-ins: https://docs.openstack.org/keystoneauth/latest/plugin-options.html. What clouds.yaml says
by a `profile` of a vendor, or with a plug-in of its own, is resolved by openstacksdk; all else needs keystoneauth only,
which is imported in a fraction of the time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cloudms import cloudsyaml
from cloudms.clouds.openstack.errors import WAYS, mapped
from cloudms.errors import Denied, Invalid, MissingExtra, Unsupported
from cloudms.record import Record

AUTH = (
    "auth_url", "username", "user_id", "password", "token", "project_name", "project_id", "user_domain_name",
    "user_domain_id", "project_domain_name", "project_domain_id", "domain_name", "domain_id", "default_domain",
    "default_domain_name", "default_domain_id", "application_credential_id", "application_credential_name",
    "application_credential_secret", "system_scope", "passcode", "trust_id", "identity_provider", "protocol",
    "client_id", "client_secret", "access_token", "access_token_endpoint", "discovery_endpoint", "openid_scope",
)  # fmt: skip
"""What belongs to the signing in itself, in clouds.yaml below `auth`."""
_OLDER = {"tenant_name": "project_name", "tenant_id": "project_id", "tenant": "project_name", "user": "username"}
_PLAIN = {
    "password": "password", "v3password": "password", "token": "token", "v3token": "token",
    "v3applicationcredential": "application", "applicationcredential": "application",
}  # fmt: skip


class Login(Record):
    """How to sign in to one cloud, and what its source says of it beside.

    `auth` are keystone's words, `auth_type` its plug-in; `regions` those that are listed in clouds.yaml; `verify` true,
    false or the file of an authority; `cert` the file of a certificate of one's own, and `key` that of its key;
    `endpoints` URLs by service that overrule the catalog; `source` says for people where all this is from,
    `cloud` and `file` which cloud of which clouds.yaml it is.
    """

    auth: Mapping[str, str]
    auth_type: str = "password"
    region: str = ""
    regions: tuple[str, ...] = ()
    interface: str = "public"
    verify: bool | str = True
    cert: str = ""
    key: str = ""
    endpoints: Mapping[str, str] = {}
    source: str = ""
    cloud: str = ""
    file: str = ""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Login({self.auth.get('auth_url', '')!r}, {self.auth_type!r}, ******)"

    @property
    def way(self) -> str:
        """Return password, token or application, or an empty string: a plug-in of its own."""
        return _PLAIN.get(self.auth_type, "")


def find(
    name: str, options: Mapping[str, Any], credentials: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> Login:
    """Return how the cloud `name` of the configuration is signed in to.

    What its entry says counts first, over the cloud of clouds.yaml that it names; an entry without any credentials
    takes OS_CLOUD, OS_AUTH_URL …, the cloud of its own name in clouds.yaml, or the only one there.
    Raises: Denied (nothing is known), NotFound (no such cloud in clouds.yaml), Invalid, ConfigError.
    """
    env = os.environ if environ is None else environ
    file = str(options.get("clouds_yaml") or "")
    own = flat(credentials)
    named = str(options.get("cloud") or own.pop("cloud", "") or "")
    if not named and not own.get("auth_url"):
        named, own = _around(name, own, env, file)
    entry = dict(cloudsyaml.cloud(named, env, file)) if named else {}
    if entry.get("profile") or entry.get("cloud") or not _simple(entry):
        entry = dict(by_sdk(named, file).config)
    source = f"cloud '{named}' of clouds.yaml" if named else "the configuration" if credentials else "the environment"
    beside = {word: value for word, value in _beside(options).items() if value is not None}
    said = {**flat(entry), **own, **beside}
    return _login(said, entry, source, named).with_(file=file)


def _around(name: str, own: Mapping[str, Any], env: Mapping[str, str], file: str) -> tuple[str, dict[str, Any]]:
    """Return the cloud of clouds.yaml to take, or an empty name and the words of the environment. Raises: Denied."""
    if not own and env.get("OS_CLOUD"):
        return env["OS_CLOUD"], {}
    if env.get("OS_AUTH_URL"):
        return "", flat({key: value for key, value in env.items() if key.startswith("OS_") and value}) | dict(own)
    listed, place = cloudsyaml.clouds(env, file)
    for word in (name, *(listed if len(listed) == 1 else ())):
        if word in listed:
            return word, dict(own)
    names = ", ".join(sorted(map(str, listed))[:8])
    hint = f"cloud: NAME with one of {names} ({place})" if listed else WAYS
    missing = "has no auth_url" if own else "has no credentials of OpenStack"
    raise Denied(f"cloud '{name}' {missing}", hint=hint)


def _beside(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings say about connections."""
    return {
        "verify": options.get("verify"), "cacert": options.get("cacert"), "interface": options.get("interface"),
    }  # fmt: skip


def flat(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Return credentials in keystone's words, whether they stand below `auth`, flat, or as OS_…, without unset ones."""
    found: dict[str, Any] = {}
    for key, value in credentials.items():
        if isinstance(value, Mapping) or value is None or value == "":
            continue
        word = str(key).lower().removeprefix("os_")
        found[_OLDER.get(word, word)] = value
    below = credentials.get("auth")
    return found | (flat(below) if isinstance(below, Mapping) else {})


def _simple(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of clouds.yaml needs no plug-in beyond those that are known here."""
    return str(entry.get("auth_type") or "password") in (*_PLAIN, "none", "") and not entry.get("vendor_hook")


def by_sdk(name: str, file: str, *, whole: bool = False) -> Any:
    """Return what openstacksdk makes of a cloud of clouds.yaml, with its plug-in when it is wanted as a whole.

    Raises: MissingExtra, Denied, NotReady.
    """
    try:
        from openstack.config import OpenStackConfig
        from openstack.exceptions import ConfigException
    except ImportError:
        raise MissingExtra("openstack", why=f"cloud '{name}' of clouds.yaml") from None
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it will not do any more one day
            return OpenStackConfig(config_files=[file] if file else None).get_one(cloud=name, validate=whole)
    except ConfigException as error:
        raise Denied(f"cloud '{name}' of clouds.yaml: {' '.join(str(error).split())}", hint=WAYS) from None
    except Exception as error:  # a profile is fetched from its vendor
        if not type(error).__module__.startswith(("requests", "urllib3", "keystoneauth1")):
            raise
        raise mapped(error, f"the profile of cloud '{name}'") from None


def _login(said: Mapping[str, Any], entry: Mapping[str, Any], source: str, named: str) -> Login:
    auth = {word: str(said[word]) for word in AUTH if said.get(word) not in (None, "")}
    kind = str(said.get("auth_type") or _kind(auth))
    if "auth_url" not in auth and kind != "none":
        raise Denied(f"{source} has no auth_url", hint=WAYS)
    return Login(
        auth=completed(auth, kind), auth_type=kind, region=str(said.get("region_name") or said.get("region") or ""),
        regions=_regions(entry.get("regions")), interface=_interface(said), verify=_verify(said),
        cert=str(said.get("cert") or ""), key=str(said.get("key") or ""), source=source, cloud=named,
        endpoints={
            service: str(said[f"{word}_endpoint_override"])
            for service, word in _OVERRIDES.items() if said.get(f"{word}_endpoint_override")
        },
    )  # fmt: skip


_OVERRIDES = {
    "compute": "compute", "image": "image", "network": "network", "volume": "block_storage", "identity": "identity",
}  # fmt: skip


def _kind(auth: Mapping[str, str]) -> str:
    if "application_credential_secret" in auth:
        return "v3applicationcredential"
    return "token" if "token" in auth and "password" not in auth else "password"


def completed(auth: Mapping[str, str], kind: str) -> dict[str, str]:
    """Return keystone's words with those that everybody leaves out. Raises: Denied (a half is missing), Invalid."""
    found = dict(auth)
    way = _PLAIN.get(kind, "")
    if "auth_url" in found:
        found["auth_url"] = address(found["auth_url"])
    if way == "application":
        _both(found, "application_credential_secret", "application_credential_id", "application_credential_name")
        return found
    if way == "password":
        _both(found, "password", "username", "user_id")
    if found.get("project_id") == found.get("project_name"):
        found.pop("project_id", None)  # files of Chameleon's people say the name in both places
    if way:
        default = found.pop("default_domain", "") or found.pop("default_domain_name", "")
        ident = found.pop("default_domain_id", "") or ("" if default else "default")
        for who in ("user", "project") if way == "password" else ("project",):
            if f"{who}_name" in found or (who == "user" and "username" in found):
                _domain(found, who, default, ident)
    return found


def _domain(found: dict[str, str], who: str, default: str, ident: str) -> None:
    """Give a user or project the domain that is meant when none is said: that of the other, else the default one."""
    if f"{who}_domain_name" in found or f"{who}_domain_id" in found:
        return
    other = "project" if who == "user" else "user"
    for word in ("domain_name", "domain_id"):
        if f"{other}_{word}" in found:
            found[f"{who}_{word}"] = found[f"{other}_{word}"]
            return
    found[f"{who}_domain_name" if default else f"{who}_domain_id"] = default or ident


def _both(found: Mapping[str, str], secret: str, *names: str) -> None:
    if secret in found and any(name in found for name in names):
        return
    missing = secret if secret not in found else names[0]
    raise Denied(f"the credentials have no {missing}", hint=WAYS)


def address(url: str) -> str:
    """Return the address of keystone's third version. Raises: Invalid (no URL), Unsupported (another version)."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"auth_url {url!a} is not a URL", hint="such as https://host:5000/v3")
    path = parts.path.rstrip("/")
    if path.endswith("/v2.0"):
        if parts.port in (5000, 35357) or "identity" in path:
            path = path.removesuffix("/v2.0")  # where the third version stands beside, as everywhere since 2018
        else:
            raise Unsupported("keystone's version 2 is not spoken any more", hint="auth_url ends with /v3")
    if not path.endswith("/v3"):
        path += "/v3"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _interface(said: Mapping[str, Any]) -> str:
    word = str(said.get("interface") or said.get("endpoint_type") or "public").removesuffix("URL")
    if word not in ("public", "internal", "admin"):
        raise Invalid(f"interface cannot be {word!r}", hint="public, internal or admin")
    return word


def _verify(said: Mapping[str, Any]) -> bool | str:
    """Return whether certificates are looked at, or the file of the authority that signs them."""
    told = str(said.get("verify", "")).lower()
    if told in ("false", "no", "off", "0") or str(said.get("insecure", "")).lower() in ("true", "yes", "on", "1"):
        return False
    file = str(said.get("cacert") or "")
    return os.path.expanduser(file) if file else True  # noqa: PTH111 (requests wants text)


def _regions(listed: Any) -> tuple[str, ...]:
    """Return the regions of an entry, which are names or sections with a name."""
    rows = listed if isinstance(listed, list) else []
    names = [row.get("name") if isinstance(row, Mapping) else row for row in rows]
    return tuple(dict.fromkeys(str(name) for name in names if name))
