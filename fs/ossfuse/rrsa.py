"""Temporary keys of a role for a token of the cluster (RRSA): what ossfs's builds for ACK do with `rrsa_endpoint=`.

They ask STS (AssumeRoleWithOIDC) for the role that their environment names, with the token in a file that kubelet
renews, and ask again before the keys expire. The builds are not public; the source is the driver that starts them
(buildAuthSpec, MakeMountOptions of kubernetes-sigs/alibaba-cloud-csi-driver) and the reference of STS. Any thread.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

__all__ = ["Fetch", "TokenExchange"]

Fetch = Callable[[str, str, Mapping[str, str], bytes], tuple[int, bytes]]
"""(method, url, headers, body) -> (HTTP status, body). Raises OSError when no answer came."""

_ROLE = "ALIBABA_CLOUD_ROLE_ARN"
_PROVIDER = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
_TOKEN_FILE = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
_SESSION = "ROLE_SESSION_NAME"


class TokenExchange:
    """endpoint: url of STS; environment: of the ossfs process."""

    def __init__(self, endpoint: str, environment: Mapping[str, str], fetch: Fetch) -> None:
        self._endpoint = endpoint
        self._environment = environment
        self._fetch = fetch

    def answer(self) -> str:
        """Fresh keys, as a metadata service words them. Raises OSError: what STS says, or why it can't be asked."""
        missing = [name for name in (_ROLE, _PROVIDER, _TOKEN_FILE) if not self._environment.get(name)]
        if missing:
            raise OSError(f"RRSA needs {', '.join(missing)} in the environment")
        with open(self._environment[_TOKEN_FILE], encoding="ascii") as file:
            token = file.read().strip()
        parameters = {
            "Action": "AssumeRoleWithOIDC",
            "Version": "2015-04-01",
            "Format": "JSON",
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "SignatureNonce": uuid.uuid4().hex,
            "RoleArn": self._environment[_ROLE],
            "OIDCProviderArn": self._environment[_PROVIDER],
            "OIDCToken": token,
            "RoleSessionName": self._environment.get(_SESSION) or "ossfs",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body = self._fetch("POST", f"{self._endpoint.rstrip('/')}/", headers, urlencode(parameters).encode())
        try:
            found = json.loads(body)
        except ValueError:
            found = {}
        keys = found.get("Credentials") if isinstance(found, dict) else None
        if status != 200 or not isinstance(keys, dict):
            said = f"{found.get('Code')}: {found.get('Message')}" if isinstance(found, dict) else ""
            raise OSError(f"AssumeRoleWithOIDC: HTTP {status} {said}".rstrip())
        names = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
        return json.dumps({name: str(keys.get(name, "")) for name in names}, indent=0)
