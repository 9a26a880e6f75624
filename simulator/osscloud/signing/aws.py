"""AWS signatures versions 2 and 4, which OSS accepts on its S3-compatible face.

Only computes; `verify` decides. Pure functions, any thread.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import quote, unquote_to_bytes

from osscloud.addressing import Address, split_target
from osscloud.message import Request, as_header
from osscloud.signing.v4 import canonical_query

__all__ = ["ALGORITHM", "canonical_request_v4", "signing_key_v4", "string_to_sign_v2", "string_to_sign_v4"]

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*").fullmatch

_NAMES_V2 = """
    accelerate acl analytics cors delete encryption inventory lifecycle location logging metrics notification
    object-lock partNumber policy policyStatus publicAccessBlock replication requestPayment
    response-cache-control response-content-disposition response-content-encoding response-content-language
    response-content-type response-expires restore select select-type tagging torrent uploadId uploads versionId
    versioning versions website
"""
_SUBRESOURCES_V2 = frozenset(_NAMES_V2.split())


def string_to_sign_v2(request: Request, address: Address, date: str) -> bytes:
    """date: value of Date, "" when x-amz-date is sent; in a URL the value of Expires. Signed like version 1 of OSS.
    Parameters named x-amz-... count as the headers that a client of a signed URL cannot send."""
    headers = request.headers
    if any(name.startswith("x-amz-") for name in address.params):
        own = {as_header(k): as_header(v) for k, v in address.params.items() if k.startswith("x-amz-")}
        headers = {**headers, **own}
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(n for n in headers if n.startswith("x-amz-"))]
    head = "\n".join(lines).encode("latin-1") + b"\n"
    # Unlike version 1 of OSS the key stays percent-encoded as sent by the clients, with "/" kept.
    uri = quote(f"/{address.bucket}/{address.key}" if address.bucket else "/", safe="/-_.~", errors="surrogateescape")
    signed = sorted((k, v) for k, v in address.params.items() if k in _SUBRESOURCES_V2)
    query = "&".join(f"{k}={v}" if v else k for k, v in signed)
    return head + (f"{uri}?{query}" if query else uri).encode("utf-8", "surrogateescape")


def canonical_request_v4(request: Request, address: Address, signed_headers: Sequence[str], payload: str) -> bytes:
    """The path counts as addressed (with the bucket only in path style). signed_headers: lower-case names in the order
    of the request. payload: value of x-amz-content-sha256 or UNSIGNED-PAYLOAD."""
    path, _ = split_target(request.target)
    uri = path if _PLAIN(path) else quote(unquote_to_bytes(path.encode("utf-8", "surrogateescape")), safe="/-_.~")
    query = canonical_query(address.params, "X-Amz-Signature", bare=False)
    lines = [request.method, uri, query]
    headers = request.headers
    lines += [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed_headers]
    lines += ["", ";".join(signed_headers), payload]
    return "\n".join(lines).encode("latin-1")


def string_to_sign_v4(timestamp: str, scope: str, canonical: bytes) -> bytes:
    """timestamp: "20240306T024816Z"; scope: "20240306/us-east-1/s3/aws4_request"."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("latin-1")


@functools.lru_cache(maxsize=256)
def signing_key_v4(secret: str, date: str, region: str, service: str) -> bytes:
    """The derived key of one secret, day, region and service."""
    key = b"AWS4" + secret.encode()
    for step in (date, region, service, TERMINATOR):
        key = hmac.digest(key, step.encode("latin-1"), "sha256")
    return key
