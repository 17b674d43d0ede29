"""A session of keystoneauth, imported when it is first needed and without what nobody asked for."""

from __future__ import annotations

import logging
from typing import Any

from cloudms.clouds.openstack.errors import WAYS, mapped
from cloudms.clouds.openstack.signin import Login, by_sdk
from cloudms.errors import Denied, MissingExtra

_CONNECTIONS = 32
"""Connections that are kept open: as many as the engine may have calls in flight, with room for regions."""


def sdk() -> Any:
    """Import keystoneauth's sessions when they are first needed. Raises: MissingExtra."""
    try:
        from keystoneauth1 import session
    except ImportError:
        raise MissingExtra("openstack", why="a cloud of kind openstack") from None
    return session


def opened(login: Login) -> Any:
    """Return a session that has not asked anything yet. Raises: MissingExtra, Denied (no such way to sign in)."""
    module = sdk()
    import requests

    for word in ("keystoneauth", "urllib3.connectionpool"):  # what they have to say comes as an error
        logging.getLogger(word).addHandler(logging.NullHandler())
    http = requests.Session()
    for scheme in ("http://", "https://"):
        http.mount(scheme, module.TCPKeepAliveAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS))
    cert = (login.cert, login.key) if login.cert and login.key else login.cert or None
    return module.Session(auth=_plugin(login), verify=login.verify, cert=cert, session=http)


def _plugin(login: Login) -> Any:
    """Return keystone's plug-in for a way to sign in. Raises: Denied."""
    from keystoneauth1 import exceptions

    auth = dict(login.auth)
    try:
        if login.way == "application":
            from keystoneauth1.identity.v3 import ApplicationCredential

            wanted = ("auth_url", "application_credential_", "user_id", "username", "user_domain_")
            return ApplicationCredential(**{key: value for key, value in auth.items() if key.startswith(wanted)})
        if login.way == "password":
            from keystoneauth1.identity.v3 import Password

            return Password(**{key: value for key, value in auth.items() if key != "token"})
        if login.way == "token":
            from keystoneauth1.identity.v3 import Token

            return Token(**{key: value for key, value in auth.items() if not key.startswith(("user", "password"))})
        if login.cloud:
            return by_sdk(login.cloud, login.file, whole=True).get_auth()
        from keystoneauth1 import loading

        return loading.get_plugin_loader(login.auth_type).load_from_options(**auth)
    except exceptions.ClientException as error:
        raise mapped(error, "sign in", "identity") from None
    except TypeError as error:
        raise Denied(f"the credentials do not fit {login.auth_type}: {error}", hint=WAYS) from None
