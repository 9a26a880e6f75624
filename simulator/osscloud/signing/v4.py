"""OSS signature version 4 (HMAC-SHA256 over a scope of date, region and product): canonical request, string to sign,
signature, in a header or in the URL.

Only computes; `verify` decides. Pure functions, any thread.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from osscloud.addressing import Address
from osscloud.message import Request

__all__ = ["ALGORITHM", "canonical_query", "canonical_request", "sign", "signing_key", "string_to_sign"]

ALGORITHM = "OSS4-HMAC-SHA256"
TERMINATOR = "aliyun_v4_request"


def _encode(text: str, safe: str = "") -> str:
    # quote() keeps exactly the unreserved characters A-Za-z0-9-_.~
    return quote(text.encode("utf-8", "surrogateescape"), safe=safe)


def canonical_query(params: Mapping[str, str], without: str, *, bare: bool = True) -> str:
    """All parameters but `without`, encoded ("/" as %2F), sorted. bare: a parameter with an empty value is its name
    alone (OSS); otherwise it keeps "=" (AWS)."""
    if not params:
        return ""
    pairs = sorted((_encode(k), _encode(v)) for k, v in params.items() if k != without)
    return "&".join(f"{k}={v}" if v or not bare else k for k, v in pairs)


def canonical_request(request: Request, address: Address, additional: Iterable[str], payload: str) -> bytes:
    """additional: names of AdditionalHeaders, lower case. payload: value of x-oss-content-sha256."""
    headers = request.headers
    uri = _encode(f"/{address.bucket}/{address.key}" if address.bucket else "/", safe="/")
    extra = sorted(set(additional))
    names = [n for n in headers if n.startswith("x-oss-") or n in ("content-type", "content-md5") or n in extra]
    lines = [request.method, uri, canonical_query(address.params, "x-oss-signature")]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(names)]
    lines += ["", ";".join(extra), payload]
    return "\n".join(lines).encode("latin-1")


def string_to_sign(timestamp: str, scope: str, canonical: bytes) -> bytes:
    """timestamp: "20240306T024816Z"; scope: "20240306/cn-hangzhou/oss/aliyun_v4_request"."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}".encode("latin-1")


@functools.lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, product: str) -> bytes:
    """The derived key of one secret, day, region and product."""
    key = b"aliyun_v4" + secret.encode()
    for step in (date, region, product, TERMINATOR):
        key = hmac.digest(key, step.encode("latin-1"), "sha256")
    return key


def sign(key: bytes, text: bytes) -> str:
    """Lower-case hex of the HMAC-SHA256."""
    return hmac.digest(key, text, "sha256").hex()
