"""Bucket policies: what may be put, whom a statement speaks of, what a policy says, and whether it makes the bucket
public. `permission` asks; the row is one of `configurations`.

Pure functions but for the operation, which belongs to the thread that handles the request.
"""

from __future__ import annotations

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import Configuration, configured, missing
from osscloud.ram.condition import Context, wildcard
from osscloud.ram.entity import User
from osscloud.ram.policy import Decision, Policy, PolicyError, Statement, parse_text
from osscloud.signing.verify import Identity
from osscloud.store import Bucket
from osscloud.xml import Document

__all__ = ["POLICY", "bucket_policy", "decide", "get_policy_status", "names"]

MAX_BYTES = 16 * 1024
"""Size of a bucket policy (vendor documentation, limits)."""

_NARROWING = frozenset({"acs:sourceip", "acs:sourcevpc", "acs:accessid"})


def _read(kept: bytes) -> Policy:
    return parse_text(kept.decode("utf-8-sig"), "bucket")


def _accept(call: Call, body: bytes) -> bytes:
    try:
        if len(body) > MAX_BYTES:
            raise PolicyError(f"the policy is longer than {MAX_BYTES} bytes")
        _read(body)
    except (PolicyError, UnicodeDecodeError) as error:
        raise OssError("InvalidPolicyDocument", f"The policy document is invalid: {error}", status=400) from error
    return body


def _as_put(kept: bytes) -> bytes:
    return kept


POLICY = Configuration(
    "policy",
    "BucketPolicy",
    _accept,
    missing("NoSuchBucketPolicy"),
    _as_put,
    media_type="application/json",
)


def bucket_policy(bucket: Bucket) -> Policy | None:
    """The policy of a bucket, None when it has none."""
    return configured(bucket, "policy", _read)


def names(identity: Identity, user: User | None) -> tuple[str, ...]:
    """What a Principal may call the sender of a request beside "*": the account's UID for its own keys, the user's UID
    or ARN, the ARN of a role or of its session (OSS's documents write "arn:sts::", RAM's "acs:sts::")."""
    session = identity.session
    if session is not None:
        arn = session.arn.removeprefix("acs:")
        return (f"arn:{arn}", f"acs:{arn}", f"acs:ram::{session.account}:role/{session.role}")
    if user is not None:
        return (user.id, user.arn)
    return (identity.account,) if identity.account else ()


def _speaks_of(statement: Statement, called: tuple[str, ...], *, owner: bool) -> bool:
    for principal in statement.principals:
        if principal == "*":
            # "*" without a condition is everybody but the owner (vendor documentation, "Bucket policy").
            if not owner or statement.conditions:
                return True
        elif any(wildcard(principal).fullmatch(name) for name in called):
            return True
    return False


def decide(
    policy: Policy, called: tuple[str, ...], action: str, resource: str, context: Context, *, owner: bool
) -> Decision:
    """called: `names` of the sender. owner: it is the bucket owner's account itself."""
    concerned = tuple(s for s in policy.statements if _speaks_of(s, called, owner=owner))
    return Policy(concerned).decide(action, resource, context)


def get_policy_status(call: Call) -> Response:
    """GET /?policyStatus: whether the policy allows something to everybody."""
    policy = bucket_policy(call.bucket)
    document = Document("PolicyStatus")
    document.leaf("IsPublic", "true" if policy is not None and any(map(_public, policy.statements)) else "false")
    return Response(200, {}, document.bytes())


def _public(statement: Statement) -> bool:
    if statement.effect != "Allow" or "*" not in statement.principals:
        return False
    return not any(
        condition.key.lower() in _NARROWING and "Not" not in condition.operator for condition in statement.conditions
    )
