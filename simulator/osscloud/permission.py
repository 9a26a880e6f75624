"""Whether an identity may do something: policy of its key first, then object ACL, then bucket ACL.

The order is the vendor documentation's (an explicit Deny wins; an Allow allows; silence falls through to the ACLs). Any
thread.
"""

from __future__ import annotations

from osscloud.accounts import Accounts, Decision
from osscloud.errors import OssError
from osscloud.operations.call import Grant
from osscloud.signing.verify import Identity
from osscloud.store import Bucket

__all__ = ["Permissions"]

_GRANTING: dict[Grant, tuple[str, ...]] = {
    "read": ("public-read", "public-read-write"),
    "write": ("public-read-write",),
}


class Permissions:
    """The authorisation step of one service."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def check_service(self, identity: Identity, action: str, bucket_name: str) -> None:
        """For operations of the service (bucket_name "") and for creating a bucket. Raises OssError AccessDenied."""
        if identity.anonymous:
            raise OssError("AccessDenied", "Anonymous access is forbidden for this operation.", ec="0003-00001201")
        decision = self._accounts.allows(identity.access_key_id, action, f"acs:oss:*:*:{bucket_name or '*'}")
        if not decision:
            message = "You are forbidden to list buckets." if action == "oss:ListBuckets" else ""
            raise _denied(identity, action, decision, message)

    def check(self, identity: Identity, action: str, bucket: Bucket, key: str, grant: Grant) -> None:
        """For an action on a bucket (key "") or on an object. Raises OssError AccessDenied."""
        if identity.anonymous:
            if not self._acl_grants(bucket, key, grant):
                raise _anonymous(bucket, key, grant)
            return
        resource = f"acs:oss:*:*:{bucket.name}/{key}" if key else f"acs:oss:*:*:{bucket.name}"
        decision = self._accounts.allows(identity.access_key_id, action, resource)
        own = bucket.owner == identity.account
        if decision is Decision.ALLOWED and own:
            return
        if decision is Decision.EXPLICIT_DENY:
            raise _denied(identity, action, decision)
        if self._acl_grants(bucket, key, grant):
            return
        if action.endswith("ObjectAcl"):
            kind = "read" if action == "oss:GetObjectAcl" else "write"
            raise _denied(identity, action, decision, f"You do not have {kind} acl permission on this object.")
        if not own and not key:
            raise _denied(identity, action, decision, "The bucket you access does not belong to you.")
        raise _denied(identity, action, decision, "You have no right to access this object because of bucket acl.")

    @staticmethod
    def _acl_grants(bucket: Bucket, key: str, grant: Grant) -> bool:
        if not grant:
            return False
        newest = bucket.newest(key)
        acl = bucket.acl if newest is None or newest.acl == "default" else newest.acl
        return acl in _GRANTING[grant]


def _anonymous(bucket: Bucket, key: str, grant: Grant) -> OssError:
    if not key:
        message = "Anonymous user has no right to access this bucket."
    elif grant:
        message = "You have no right to access this object because of bucket acl."
    else:
        return OssError("AccessDenied", "Anonymous access is forbidden for this operation.", ec="0003-00001201")
    return OssError("AccessDenied", message, ec="0003-00000001", extras={"BucketName": bucket.name})


def _denied(identity: Identity, action: str, decision: Decision, message: str = "") -> OssError:
    explicit = decision is Decision.EXPLICIT_DENY
    extras: dict[str, str | dict[str, str]] = {}
    if decision is not Decision.ALLOWED:
        extras["AccessDeniedDetail"] = {
            "PolicyType": "AccountLevelIdentityBasedPolicy",
            "AuthAction": action,
            "AuthPrincipalOwnerId": identity.account,
            "AuthPrincipalType": "SubUser",
            "AuthPrincipalDisplayName": identity.access_key_id,
            "NoPermissionType": "ExplicitDeny" if explicit else "ImplicitDeny",
        }
    return OssError("AccessDenied", message, ec="0003-00000201" if explicit else "0003-00000001", extras=extras)
