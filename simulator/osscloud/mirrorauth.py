"""How a mirror rule shows its origin who asks: an AWS V4 signature (MirrorAuth), or that of a RAM role (MirrorRole)
where the origin is a bucket of this cloud.

Only computes headers: who sends them is `mirror`, who opens the role's session is the service. Any thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from osscloud.accounts import Session
from osscloud.addressing import Address, parse_query, resolve
from osscloud.errors import OssError
from osscloud.message import Request
from osscloud.operations.call import Call
from osscloud.operations.config import Schema, text
from osscloud.operations.metadata import invalid
from osscloud.signing import aws, v4
from osscloud.xml import child_text

__all__ = ["AUTH_SCHEMA", "S3Auth", "Unsigned", "own_bucket", "read_auth", "role_headers", "s3_headers"]

AUTH_SCHEMA: Schema = {"AuthType?": text, "Region?": text, "AccessKeyId?": text, "AccessKeySecret?": text}

_PAYLOAD = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True, slots=True)
class S3Auth:
    """MirrorAuth. S3V4 is the only AuthType that is known (vendor SDKs)."""

    kind: str
    region: str
    access_key_id: str
    secret: str

    def check(self) -> None:
        """Raises OssError InvalidArgument."""
        if self.kind != "S3V4":
            raise invalid("AuthType", self.kind, "The AuthType of MirrorAuth is S3V4.")
        needed = {"Region": self.region, "AccessKeyId": self.access_key_id, "AccessKeySecret": self.secret}
        for name, value in needed.items():
            if not value:
                raise invalid(name, "", f"MirrorAuth needs {name}.")


def read_auth(redirect: Element) -> S3Auth | None:
    """The MirrorAuth of a Redirect."""
    found = redirect.find("MirrorAuth")
    if found is None:
        return None
    kind, region, key, secret = (child_text(found, name.rstrip("?")) or "" for name in AUTH_SCHEMA)
    return S3Auth(kind, region, key, secret)


class Unsigned(Protocol):
    """A request for an origin, as far as a signature is about it."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def _as_request(method: str, url: str, headers: Mapping[str, str]) -> Request:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {name.lower(): value for name, value in headers.items()}
    return Request(method, target, {"host": parts.netloc.rpartition("@")[2], **sent})


def s3_headers(auth: S3Auth, request: Unsigned, now: float) -> dict[str, str]:
    """The headers of the request with an AWS V4 signature. now: seconds since the epoch."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {**request.headers, "x-amz-date": stamp, "x-amz-content-sha256": _PAYLOAD}
    address = Address("", "", parse_query(urlsplit(request.url).query), path_style=True)
    names = ["host", "x-amz-content-sha256", "x-amz-date"]
    scope = f"{stamp[:8]}/{auth.region}/s3/{aws.TERMINATOR}"
    canonical = aws.canonical_request_v4(_as_request(request.method, request.url, signed), address, names, _PAYLOAD)
    string = aws.string_to_sign_v4(stamp, scope, canonical)
    signature = v4.sign(aws.signing_key_v4(auth.secret, stamp[:8], auth.region, "s3"), string)
    credential = f"Credential={auth.access_key_id}/{scope}"
    authorization = f"{aws.ALGORITHM} {credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**signed, "Authorization": authorization}


def own_bucket(call: Call, url: str) -> Address | None:
    """What a URL addresses when that is a bucket of this cloud."""
    request = _as_request("GET", url, {})
    netloc = request.headers["host"].lower()
    host = netloc.partition(":")[0]
    domains = call.config.domains
    ours = netloc == call.config.endpoint or any(host == domain or host.endswith(f".{domain}") for domain in domains)
    if not ours and host not in call.store.cnames:
        return None
    try:
        address = resolve(request, call.config, call.store.cnames)
    except OssError:
        return None
    return address if address.bucket in call.store.buckets else None


def role_headers(call: Call, session: Session, address: Address, request: Unsigned) -> dict[str, str]:
    """The headers of the request with an OSS V4 signature in a role's name. address: what its URL addresses."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(call.now))
    signed = {
        **request.headers,
        "x-oss-date": stamp,
        "x-oss-content-sha256": _PAYLOAD,
        "x-oss-security-token": session.token,
    }
    region = call.config.region
    scope = f"{stamp[:8]}/{region}/oss/{v4.TERMINATOR}"
    canonical = v4.canonical_request(_as_request(request.method, request.url, signed), address, (), _PAYLOAD)
    string = v4.string_to_sign(stamp, scope, canonical)
    signature = v4.sign(v4.signing_key(session.secret, stamp[:8], region, "oss"), string)
    authorization = f"{v4.ALGORITHM} Credential={session.access_key_id}/{scope},Signature={signature}"
    return {**signed, "Authorization": authorization}
