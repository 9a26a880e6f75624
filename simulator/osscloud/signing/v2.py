"""OSS signature version 2 (HMAC-SHA256, scheme "OSS2"): an old one that oss2's AuthV2 still speaks, in a header or in
the URL. Like version 1, but every query parameter counts and the resource is percent-encoded.

Only computes; `verify` decides. Pure functions, any thread.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from urllib.parse import quote

from osscloud.addressing import Address
from osscloud.message import Request
from osscloud.signing.v4 import canonical_query

__all__ = ["ALGORITHM", "sign", "string_to_sign"]

ALGORITHM = "OSS2"


def string_to_sign(request: Request, address: Address, additional: Iterable[str], date: str) -> bytes:
    """additional: names of AdditionalHeaders, lower case. date: value of x-oss-date or Date; in a URL the value of
    x-oss-expires."""
    headers = request.headers
    extra = sorted(set(additional))
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [f"{n}:{headers[n].strip()}" for n in sorted(headers) if n.startswith("x-oss-") or n in extra]
    resource = f"/{address.bucket}/{address.key}" if address.bucket else "/"
    encoded = quote(resource.encode("utf-8", "surrogateescape"), safe="")
    query = canonical_query(address.params, "x-oss-signature")
    lines += [";".join(extra), f"{encoded}?{query}" if query else encoded]
    return "\n".join(lines).encode("latin-1")


def sign(secret: str, text: bytes) -> str:
    """Base64 of the HMAC-SHA256."""
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode("ascii")
