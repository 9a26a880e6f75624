"""The metadata service of an ECS instance, as far as ossfs's `ram_role` asks it: the name of the instance's RAM role
and temporary credentials of it.

`GET /latest/meta-data/ram/security-credentials/[ROLE]`, unsigned; on the real machine at 100.100.100.200, here beside
OSS where `addressed` says. No socket, no wall clock. Any thread.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from osscloud.accounts import Accounts
from osscloud.addressing import split_target
from osscloud.clock import Clock
from osscloud.message import Request, Response
from osscloud.sts import trusts

__all__ = ["HOST", "PATH", "InstanceMetadata", "addressed"]

HOST = "100.100.100.200"
PATH = "/latest/meta-data/ram/security-credentials/"

_SERVICE = "Service ecs.aliyuncs.com"
_SESSION_NAME = "i-ossvol"
_LIFETIME = 6 * 3600
_RENEWED_BEFORE = 1800


def addressed(request: Request) -> bool:
    """True for an unsigned request to the metadata service's host or path. An object of that name in a bucket "latest"
    is still there for who signs."""
    if request.headers.get("host", "").partition(":")[0] == HOST:
        return True
    return split_target(request.target)[0].startswith(PATH) and "authorization" not in request.headers


class InstanceMetadata:
    """The instance has one role at most: `attach`."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    def attach(self, role: str, *, account: str = "") -> None:
        """Gives the instance a role, "" takes it away. Raises KeyError when there is no such role, ValueError when the
        role does not trust the service ecs.aliyuncs.com."""
        found = self._accounts.ram.role(role, account=account) if role else None
        if role and found is None:
            raise KeyError(role)
        if found is not None and not trusts(found, frozenset({_SERVICE}), {}):
            raise ValueError(f"the role {role} does not trust the service ecs.aliyuncs.com")
        attached = self._accounts.ram.directory.instance_roles
        if found is None:
            attached.pop("role", None)
        else:
            attached["role"] = found.arn

    def handle(self, request: Request) -> Response:
        """200 with text or JSON, 404 for a path or a role that is not there."""
        path = split_target(request.target)[0]
        arn = self._accounts.ram.directory.instance_roles.get("role", "")
        role = self._accounts.ram.role_by_arn(arn)
        if request.method != "GET" or not path.startswith(PATH) or role is None:
            return _answer(404, "text/html", b"<html><body><h1>404 - Not Found</h1></body></html>\n")
        name = path.removeprefix(PATH)
        if not name:
            return _answer(200, "text/plain", role.name.encode())
        if name != role.name:
            return _answer(404, "application/json", json.dumps({"Code": "NotFound"}).encode())
        now = self._clock.now()
        session = self._accounts.shared_session(
            role, _SESSION_NAME, lifetime=_LIFETIME, renewed_before=_RENEWED_BEFORE, now=now
        )
        document = {
            "AccessKeyId": session.access_key_id,
            "AccessKeySecret": session.secret,
            "Expiration": _iso(session.expires),
            "SecurityToken": session.token,
            "LastUpdated": _iso(session.expires - _LIFETIME),
            "Code": "Success",
        }
        return _answer(200, "application/json", json.dumps(document, indent=2).encode())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(status: int, media_type: str, body: bytes) -> Response:
    return Response(status, {"Content-Type": media_type, "Content-Length": str(len(body))}, body)
