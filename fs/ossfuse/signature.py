"""OSS signatures, versions 1 and 4, as the ossfs client computes them for the headers it sends.

Only headers are signed, never URLs. Independent of the server's implementation, so that a mistake in one is not hidden
by the same mistake in the other. Pure functions; any thread.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

from ossfuse.passwd import Credentials

__all__ = ["UNSIGNED_PAYLOAD", "sign_v1", "sign_v4"]

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_ALGORITHM = "OSS4-HMAC-SHA256"
_TERMINATOR = "aliyun_v4_request"

# The query parameters of ossfs's and ossfs2's requests that belong to the resource; those of a listing do not, but for
# the token.
_SIGNED_PARAMETERS = frozenset(
    (
        "acl",
        "append",
        "continuation-token",
        "delete",
        "objectMeta",
        "partNumber",
        "position",
        "symlink",
        "uploadId",
        "uploads",
        "versionId",
    )
)


def sign_v1(  # noqa: PLR0917  the order in which OSS signs them
    method: str,
    bucket: str,
    key: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    credentials: Credentials,
) -> str:
    """Value of Authorization, "OSS ID:SIGNATURE".

    key: as stored, not encoded, "" for the bucket. params: of the query, decoded; "" for a bare name. headers:
    lower-case names; date, content-type, content-md5 and every x-oss-* header (x-oss-security-token too) are there.
    Source: ossfs 1.91.10, insertOSSV1Headers, CalcSignatureOSSV1.
    """
    lines = [method, headers.get("content-md5", ""), headers.get("content-type", ""), headers.get("date", "")]
    lines += [f"{name}:{headers[name]}" for name in sorted([name for name in headers if name.startswith("x-oss-")])]
    resource = f"/{bucket}/{key}"
    if params and (signed := sorted(_SIGNED_PARAMETERS.intersection(params))):
        resource += "?" + "&".join([f"{name}={params[name]}" if params[name] else name for name in signed])
    lines.append(resource)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    keyed = _keyed(credentials.access_key_secret).copy()
    keyed.update(text)
    return f"OSS {credentials.access_key_id}:{binascii.b2a_base64(keyed.digest(), newline=False).decode()}"


@functools.lru_cache(maxsize=16)
def _keyed(secret: str) -> hmac.HMAC:
    """To be copied: a quarter of what hmac.digest costs."""
    return hmac.new(secret.encode(), digestmod="sha1")


def sign_v4(  # noqa: PLR0917  the order in which OSS signs them
    method: str,
    bucket: str,
    key: str,
    params: Mapping[str, str],
    headers: Mapping[str, str],
    credentials: Credentials,
    *,
    region: str,
    product: str = "oss",
) -> str:
    """Value of Authorization, "OSS4-HMAC-SHA256 Credential=...,Signature=...".

    Arguments as for `sign_v1`; headers must hold x-oss-date ("20261123T093000Z") and x-oss-content-sha256. region:
    without "oss-", "cn-hangzhou"; product: "oss-cloudbox" where the region is a cloud box's id. There are no additional
    headers.
    Source: ossfs 1.91.10, insertOSSV4Headers, CalcSignatureOSSV4.
    """
    moment = headers["x-oss-date"]
    scope = f"{moment[:8]}/{region}/{product}/{_TERMINATOR}"
    path = quote(f"/{bucket}/{key}", safe="/-_.~", errors="surrogateescape")
    query = "&".join(
        f"{_encode(name)}={_encode(value)}" if value else _encode(name) for name, value in sorted(params.items())
    )
    lines = [method, path, query]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(headers) if _signed_header(name) and headers[name]]
    lines += ["", "", headers["x-oss-content-sha256"]]
    digest = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signing_key = _signing_key(credentials.access_key_secret, moment[:8], region, product)
    signature = hmac.digest(signing_key, text.encode(), "sha256").hex()
    return f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope},Signature={signature}"


def _signed_header(name: str) -> bool:
    return name.startswith("x-oss-") or name in ("content-type", "content-md5")


def _encode(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")


@functools.lru_cache(maxsize=16)
def _signing_key(secret: str, date: str, region: str, product: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for step in (date, region, product, _TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    return key
