"""Whether an identity may do something: session policy, policies of the user or role and of the bucket, then ACLs.

The order is the vendor documentation's ("Authorization process"): a session policy that does not allow denies; a Deny
in a RAM policy or in the bucket's policy denies; an Allow in either allows; silence of both leaves it to the ACLs where
objects are meant, and to the owner where the bucket is. The owner's own keys may do everything that the bucket's
policy does not deny. Any thread.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import NoReturn, Protocol
from urllib.parse import parse_qsl

from osscloud.accounts import Accounts, Decision
from osscloud.errors import OssError
from osscloud.operations.call import Call, Grant
from osscloud.operations.config import configured
from osscloud.operations.policy import bucket_policy, decide, names
from osscloud.ram.entity import Session, User
from osscloud.ram.policy import combine, parse_text
from osscloud.signing.verify import Identity
from osscloud.store import Bucket
from osscloud.xml import child_text, children, iso_date, parse

__all__ = ["Networks", "Permissions"]

_GRANTING: dict[Grant, tuple[str, ...]] = {
    "read": ("public-read", "public-read-write"),
    "write": ("public-read-write",),
}

_LISTINGS = frozenset({"oss:ListObjects", "oss:ListObjectVersions"})

_BY_ACL = "You have no right to access this object because of bucket acl."
_NOT_YOURS = "The bucket you access does not belong to you."
_BY_POLICY = "Access denied by bucket policy."
"""What OSS says to an explicit Deny wherever it is written (vendor documentation, "0003-00000201")."""


class Networks(Protocol):
    """The part of `ServiceConfig` that conditions need."""

    @property
    def region(self) -> str: ...
    @property
    def vpcs(self) -> tuple[tuple[str, str], ...]: ...


class Permissions:
    """The authorisation step of one service. config: gives the configuration in force."""

    def __init__(self, accounts: Accounts, config: Callable[[], Networks]) -> None:
        self._accounts = accounts
        self._config = config

    def check_service(self, call: Call, action: str, bucket_name: str) -> None:
        """For operations of the service (bucket_name "") and for creating a bucket. Raises OssError AccessDenied."""
        identity = call.identity
        if identity.anonymous:
            raise OssError("AccessDenied", "Anonymous access is forbidden for this operation.", ec="0003-00001201")
        if not identity.user and identity.session is None:
            return
        context = _RequestContext(call, None, "", self._config())
        resource = f"acs:oss:{self._config().region}:{identity.account}:{bucket_name or '*'}"
        self._check_session(identity, action, resource, context, bucket_name)
        decision = self._by_ram(identity, action, resource, context)
        if decision is Decision.EXPLICIT_DENY:
            self._refuse(identity, action, decision, _BY_POLICY, ec="0003-00000201", bucket=bucket_name)
        if not decision:
            listing = action == "oss:ListBuckets"
            message = "You are forbidden to list buckets." if listing else ""
            self._refuse(identity, action, decision, message, ec="0003-00000001" if listing else "0003-00000202")

    def check(self, call: Call, action: str, bucket: Bucket, key: str, grant: Grant) -> None:
        """For an action on a bucket (key "") or on an object. Raises OssError AccessDenied."""
        identity = call.identity
        owner = bucket.owner == identity.account and not identity.user and identity.session is None
        if owner and not bucket.configs:
            return
        policy = bucket_policy(bucket) if bucket.configs else None
        if owner and policy is None:
            return
        config = self._config()
        resource = f"acs:oss:{config.region}:{bucket.owner}:{bucket.name}/{key}"
        if not key:
            resource = resource[:-1]
        context = _RequestContext(call, bucket, key, config)
        by_bucket = Decision.IMPLICIT_DENY
        if policy is not None:
            called = names(identity, self._user(identity))
            by_bucket = decide(policy, called, action, resource, context, owner=owner)
        if identity.anonymous:
            if by_bucket is Decision.EXPLICIT_DENY:
                raise OssError("AccessDenied", _BY_POLICY, ec="0003-00000201", extras={"BucketName": bucket.name})
            if not by_bucket and not self._acl_grants(bucket, key, grant):
                raise _anonymous(bucket, key, grant)
            return
        self._check_session(identity, action, resource, context, bucket.name)
        by_ram = Decision.ALLOWED if owner else self._by_ram(identity, action, resource, context)
        self._check_denials(call, action, bucket.name, by_ram, by_bucket)
        # Policies of an account speak for what is the account's own.
        if by_bucket or (by_ram and bucket.owner == identity.account):
            return
        if self._acl_grants(bucket, key, grant):
            return
        message = _BY_ACL
        if action.endswith("ObjectAcl"):
            kind = "read" if action == "oss:GetObjectAcl" else "write"
            message = f"You do not have {kind} acl permission on this object."
        elif not key and (bucket.owner != identity.account or action not in _LISTINGS):
            message = _NOT_YOURS
        ec = "0003-00000905" if "Tagging" in action and key else "0003-00000001"
        self._refuse(identity, action, Decision.IMPLICIT_DENY, message, ec=ec)

    def _check_denials(self, call: Call, action: str, bucket: str, by_ram: Decision, by_bucket: Decision) -> None:
        """An explicit Deny in any policy ends it. ECs: vendor documentation, "0003-00000201", "-203", "-204"; which one
        a Deny of the bucket policy alone has is not documented."""
        in_ram, in_bucket = by_ram is Decision.EXPLICIT_DENY, by_bucket is Decision.EXPLICIT_DENY
        if not in_ram and not in_bucket:
            return
        ec = "0003-00000203" if in_ram and in_bucket else "0003-00000201"
        if call.operation is not None and call.operation.name == "DeleteObjects":
            ec = "0003-00000204"
        self._refuse(
            call.identity,
            action,
            Decision.EXPLICIT_DENY,
            _BY_POLICY,
            ec=ec,
            policy="AccountLevelIdentityBasedPolicy" if in_ram else "ResourceBasedPolicy",
            bucket=bucket,
        )

    def _check_session(
        self, identity: Identity, action: str, resource: str, context: _RequestContext, bucket: str
    ) -> None:
        session = identity.session
        if session is None or not session.policy:
            return
        decision = parse_text(session.policy).decide(action, resource, context)
        if not decision:
            message = "Access denied by authorizer's policy."
            ec = "0003-00000301"
            self._refuse(identity, action, decision, message, ec=ec, policy="SessionPolicy", bucket=bucket)

    def _by_ram(self, identity: Identity, action: str, resource: str, context: _RequestContext) -> Decision:
        """What is attached to the user or role; nothing is attached to an account itself."""
        ram = self._accounts.ram
        entity = self._user(identity) if identity.session is None else ram.session_role(identity.session)
        if entity is None:
            return Decision.IMPLICIT_DENY
        return combine(policy.decide(action, resource, context) for policy in ram.attached(entity))

    def _user(self, identity: Identity) -> User | None:
        return self._accounts.ram.user(identity.user, account=identity.account) if identity.user else None

    @staticmethod
    def _acl_grants(bucket: Bucket, key: str, grant: Grant) -> bool:
        if not grant:
            return False
        if bucket.configs:
            blocked: bool | None = configured(bucket, "publicAccessBlock", _blocks_public)
            if blocked:
                return False
        newest = bucket.newest(key)
        acl = bucket.acl if newest is None or newest.acl == "default" else newest.acl
        return acl in _GRANTING[grant]

    def _refuse(
        self,
        identity: Identity,
        action: str,
        decision: Decision,
        message: str,
        *,
        ec: str,
        policy: str = "AccountLevelIdentityBasedPolicy",
        bucket: str = "",
    ) -> NoReturn:
        user = self._user(identity)
        family, name = _principal(identity, user, identity.session)
        extras: dict[str, str | dict[str, str]] = {}
        # An account itself has no policies whose silence could be reported.
        if decision is Decision.EXPLICIT_DENY or family != "Account":
            detail = {
                "PolicyType": policy,
                "AuthPrincipalOwnerId": identity.account,
                "AuthPrincipalType": family,
                "AuthPrincipalDisplayName": name,
                "NoPermissionType": decision.value,
                "AuthAction": action,
            }
            extras["AccessDeniedDetail"] = {**detail, "EncodedDiagnosticMessage": _diagnostic(detail)}
        if decision is Decision.EXPLICIT_DENY:
            if bucket:
                extras["Bucket"] = bucket
            extras["User"] = user.id if user is not None else identity.account
        raise OssError("AccessDenied", message, ec=ec, extras=extras)


def _principal(identity: Identity, user: User | None, session: Session | None) -> tuple[str, str]:
    """AuthPrincipalType and AuthPrincipalDisplayName."""
    if session is not None:
        return "AssumedRoleUser", f"{session.role}:{session.name}"
    return ("SubUser", user.id) if user is not None else ("Account", identity.account)


def _diagnostic(detail: Mapping[str, str]) -> str:
    """RAM's DecodeDiagnosticMessage explains the real one, which is encrypted; this one is base64 of JSON."""
    return base64.b64encode(json.dumps(detail).encode()).decode()


def _blocks_public(kept: bytes) -> bool:
    return re.search(rb"<BlockPublicAccess>\s*true\s*<", kept, re.IGNORECASE) is not None


def _anonymous(bucket: Bucket, key: str, grant: Grant) -> OssError:
    if not key:
        message = "Anonymous user has no right to access this bucket."
    elif grant:
        message = _BY_ACL
    else:
        return OssError("AccessDenied", "Anonymous access is forbidden for this operation.", ec="0003-00001201")
    return OssError("AccessDenied", message, ec="0003-00000001", extras={"BucketName": bucket.name})


class _RequestContext:
    """The condition keys of one request, looked up when a condition asks."""

    __slots__ = ("_bucket", "_call", "_config", "_key")

    def __init__(self, call: Call, bucket: Bucket | None, key: str, config: Networks) -> None:
        self._call = call
        self._bucket = bucket
        self._key = key
        self._config = config

    def value(self, key: str) -> str | None:
        name, _, tag = key.partition("/")
        read = _KEYS.get(name)
        if read is not None:
            return read(self)
        if name == "oss:existingobjecttag":
            return self._existing_tags().get(tag)
        if name == "oss:requestobjecttag":
            return self._requested_tags().get(tag)
        if name == "oss:buckettag":
            kept = None if self._bucket is None else self._bucket.configs.get("tagging")
            return None if kept is None else _tags(kept).get(tag)
        return None

    def _existing_tags(self) -> Mapping[str, str]:
        if self._bucket is None or not self._key:
            return {}
        version_id = self._call.params.get("versionId")
        version = self._bucket.newest(self._key)
        if version_id and self._key == self._call.key:
            version = self._bucket.find(self._key, version_id)
        return (version.tags if version is not None else None) or {}

    def _requested_tags(self) -> Mapping[str, str]:
        header = self._call.headers.get("x-oss-tagging")
        if header is not None:
            return dict(parse_qsl(header, keep_blank_values=True))
        if self._call.method == "PUT" and "tagging" in self._call.params and self._key:
            try:
                return _tags(bytes(self._call.request.body))
            except OssError:
                return {}
        return {}

    def listing(self, name: str) -> str | None:
        """A parameter of a listing; one that is not sent counts as empty, as the vendor's examples of oss:Prefix
        have it."""
        operation = self._call.operation
        listing = operation is not None and operation.action in _LISTINGS
        return self._call.params.get(name, "") if listing else None

    def source_vpc(self) -> str | None:
        try:
            address = ip_address(self._call.request.client_ip)
        except ValueError:
            return None
        return next((vpc for network, vpc in self._config.vpcs if address in ip_network(network)), None)

    @property
    def call(self) -> Call:
        return self._call


_KEYS: Mapping[str, Callable[[_RequestContext], str | None]] = {
    "acs:accessid": lambda context: context.call.identity.access_key_id or None,
    "acs:currenttime": lambda context: iso_date(context.call.now),
    "acs:mfapresent": lambda context: "false",
    "acs:securetransport": lambda context: "true" if context.call.request.secure else "false",
    "acs:sourceip": lambda context: context.call.request.client_ip,
    "acs:sourcevpc": lambda context: context.source_vpc(),
    "acs:useragent": lambda context: context.call.headers.get("user-agent"),
    "oss:delimiter": lambda context: context.listing("delimiter"),
    "oss:prefix": lambda context: context.listing("prefix"),
}


def _tags(document: bytes) -> dict[str, str]:
    tag_set = parse(document, "Tagging").find("TagSet")
    found = [] if tag_set is None else children(tag_set, "Tag")
    return {child_text(tag, "Key") or "": child_text(tag, "Value") or "" for tag in found}
