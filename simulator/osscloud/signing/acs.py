"""Signatures of the vendor's other APIs, which STS takes: RPC (HMAC-SHA1, version 1.0) in the parameters, and
ACS3-HMAC-SHA256 in the Authorization header, which newer SDKs send.

Only computes; `sts` decides. Pure functions, any thread.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import quote

__all__ = ["ALGORITHM", "canonical_request", "rpc_string_to_sign", "sign_acs3", "sign_rpc", "string_to_sign"]

ALGORITHM = "ACS3-HMAC-SHA256"


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def rpc_string_to_sign(method: str, params: Mapping[str, str]) -> bytes:
    """params: all of query and form; Signature does not count."""
    query = "&".join(f"{_encode(k)}={_encode(v)}" for k, v in sorted(params.items()) if k != "Signature")
    return f"{method}&%2F&{_encode(query)}".encode("ascii")


def sign_rpc(secret: str, text: bytes) -> str:
    """Base64 of the HMAC-SHA1 with "&" behind the secret."""
    return base64.b64encode(hmac.digest(secret.encode() + b"&", text, "sha1")).decode("ascii")


def canonical_request(
    method: str, params: Mapping[str, str], headers: Mapping[str, str], signed: Sequence[str], body: bytes
) -> bytes:
    """params: of the query. headers: lower-case names. signed: names of SignedHeaders."""
    query = "&".join(f"{_encode(k)}={_encode(v)}" for k, v in sorted(params.items()))
    lines = [method, "/", query, *(f"{name}:{headers.get(name, '').strip()}" for name in signed)]
    lines += ["", ";".join(signed), hashlib.sha256(body).hexdigest()]
    return "\n".join(lines).encode("latin-1")


def string_to_sign(canonical: bytes) -> bytes:
    return f"{ALGORITHM}\n{hashlib.sha256(canonical).hexdigest()}".encode("ascii")


def sign_acs3(secret: str, text: bytes) -> str:
    """Lower-case hex of the HMAC-SHA256."""
    return hmac.digest(secret.encode(), text, "sha256").hex()
