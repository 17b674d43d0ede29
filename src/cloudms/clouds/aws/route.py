"""Where EC2 is asked directly, with whose keys, and whose certificates are believed.

botocore decides all this from the environment and the files of the AWS command line, and takes a tenth of a second and
25 MB to be imported. Where neither says anything and cloudmesh.yaml has the keys, it need not be asked.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudms.clouds.aws import settings
from cloudms.clouds.aws.settings import Secrets

if TYPE_CHECKING:
    from cloudms.clouds.aws.link import Link

_HARMLESS = frozenset(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
     "AWS_DEFAULT_OUTPUT", "AWS_PAGER", "AWS_EC2_METADATA_DISABLED")
)  # fmt: skip
"""Variables of AWS that change nothing where cloudmesh.yaml has keys and region."""
_ORDINARY = r"(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d"
_PROXIES = ("https_proxy", "http_proxy", "all_proxy")


def own_keys(link: Link) -> Secrets | None:
    """Return the keys in cloudmesh.yaml where nothing else says how AWS is reached, else None. Raises: Denied."""
    said = {name for name in os.environ if name.startswith("AWS_")}
    if said - _HARMLESS or any(Path("~/.aws", name).expanduser().exists() for name in ("config", "credentials")):
        return None
    keys = settings.secrets(link.setup.credentials())
    return keys if keys.access else None


def keys_now(link: Link) -> Secrets:
    """Return the keys with which a request is signed now; those of a role are renewed when they are about to end.

    Raises: Denied, MissingExtra, and what botocore raises.
    """
    found = link.session().get_credentials().get_frozen_credentials()
    return Secrets(access=found.access_key, secret=found.secret_key, token=found.token or "")


def endpoint(link: Link, region: str, *, alone: bool) -> str:
    """Return the URL of EC2: as set, by the usual names, or as a client of botocore finds it (which takes longer).

    `alone` says that nothing but cloudmesh.yaml decides.
    """
    own = link.settings.endpoint("ec2")
    if own:
        return own
    if not re.fullmatch(_ORDINARY, region) or not (alone or _ordinary(link.session()._session)):
        return str(link.client("ec2", region).meta.endpoint_url)
    return f"https://ec2.{region}.amazonaws.com"


def _ordinary(session: Any) -> bool:
    """Whether no setting of the AWS command line names another endpoint."""
    named = session.get_scoped_config()
    special = ("use_fips_endpoint", "use_dualstack_endpoint")
    said = any(session.get_config_variable(name) for name in special) or "AWS_ENDPOINT_URL" in " ".join(os.environ)
    return not (said or "endpoint_url" in named or "services" in named)


def direct(link: Link) -> bool:
    """Whether EC2 is reached directly: through a proxy boto3 finds the way."""
    if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return True
    from botocore.utils import get_environ_proxies

    return not get_environ_proxies(endpoint(link, link.region, alone=own_keys(link) is not None))


def trust(link: Link, *, alone: bool) -> Any:
    """Return whose certificates are believed: those of AWS_CA_BUNDLE or the profile, else botocore's own list."""
    import ssl

    bundle = "" if alone else link.session()._session.get_config_variable("ca_bundle")
    return ssl.create_default_context(cafile=str(bundle or _authorities()))


def _authorities() -> str:
    """Return the file of certificates that botocore uses: certifi's, else the one that it brings."""
    if find_spec("certifi"):
        from certifi import where

        return where()
    found = find_spec("botocore")
    return str(Path(found.origin).with_name("cacert.pem")) if found and found.origin else ""
