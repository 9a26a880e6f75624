"""Mirror back-to-origin: an object that is not there is fetched from another server, handed on and kept.

`fetch` does what a `Mirror` (`mirrorrule`) says. The origin is reached through the `Origin` that the
service was given, so that nothing here knows sockets; `origin_http` is the one that does. Called by the thread that
handles the request, without `Store.lock`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Literal, Protocol
from urllib.parse import urljoin, urlsplit

from osscloud.blob import crc64_of, etag_of
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.mirrorauth import own_bucket, role_headers, s3_headers
from osscloud.mirrorrule import Mirror
from osscloud.operations.call import Call
from osscloud.operations.metadata import META_PREFIX
from osscloud.operations.object import get_object
from osscloud.store import Version
from osscloud.xml import parse_http_date

__all__ = [
    "LOOP_HEADER",
    "TAG_HEADER",
    "TIMEOUT_SECONDS",
    "NoOrigin",
    "Origin",
    "OriginError",
    "OriginRequest",
    "OriginResponse",
    "fetch",
]

TIMEOUT_SECONDS = 10.0
MAX_HOPS = 10

LOOP_HEADER = "x-oss-mirror-via"
"""Sent to origins: the buckets that a request went through already, "ENDPOINT/BUCKET" each. A mirror whose origin is
itself, directly or through others, is thereby found out."""

TAG_HEADER = "x-oss-tag"
"""MIRROR on an object that came from an origin, until it is overwritten."""

_KEPT = {
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "content-disposition": "Content-Disposition",
    "cache-control": "Cache-Control",
    "expires": "Expires",
    "content-language": "Content-Language",
    "access-control-allow-origin": "Access-Control-Allow-Origin",
}
_MAX_KEPT = 8192


@dataclass(frozen=True, slots=True)
class OriginRequest:
    """What an origin is asked. method: GET or HEAD. headers: spelled as sent, without Host unless a rule sets it.
    timeout: seconds for all of it. server_name: what TLS asks for; "" is the URL's host."""

    method: str
    url: str
    headers: Mapping[str, str]
    timeout: float = TIMEOUT_SECONDS
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class OriginResponse:
    """What an origin answered. headers: lower-case names. body: what came of it, also when that is less than
    Content-Length says."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"


class OriginError(Exception):
    """No complete answer came. reason: "unreachable" (nothing listens, no such host), "timeout", or "unreadable" (the
    connection broke, or what came is not HTTP)."""

    def __init__(self, reason: Literal["unreachable", "timeout", "unreadable"], detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Origin(Protocol):
    """Reaches origins. Any thread, several at once."""

    def fetch(self, request: OriginRequest) -> OriginResponse:
        """One exchange; redirects are not followed. Raises OriginError."""
        ...


class NoOrigin:
    """The origin of a service that was given none: nothing can be reached."""

    def fetch(self, request: OriginRequest) -> OriginResponse:
        """Raises OriginError."""
        raise OriginError("unreachable", "this service reaches no origins")


# Fetching


def fetch(call: Call, mirror: Mirror, *, matched: str, query: str, origin: Origin) -> Response:
    """What the client gets for an object that is not there: the origin's, or an error. Stores it, unless the rule says
    otherwise, the client asked for HEAD, only a part came or its MD5 is wrong.

    matched: the prefix of the rule's condition. query: of the request, still encoded. Raises OssError NoSuchKey (the
    origin has it neither), MirrorFailed."""
    via = _via(call)
    headers = {**mirror.headers(call.headers), LOOP_HEADER: ", ".join(via)}
    wanted = call.headers.get("range", "")
    if wanted and (mirror.proxy_pass or call.config.mirror_range == "relay"):
        headers["Range"] = wanted
    host = next((value for name, value in headers.items() if name.lower() == "host"), "")
    request = OriginRequest(call.method, "", headers, server_name=host.partition(":")[0] if mirror.sni else "")
    answer = _ask(
        mirror, _Known(call, mirror, origin), request, lambda base: mirror.url(base, call.key, matched, query)
    )
    if answer.status in (301, 302, 303, 307, 308):
        if mirror.follow:
            raise _failed("The origin redirects too often or nowhere.", ec=_STATUS_EC)
        return _relay(mirror, answer, {"Location": answer.headers.get("location", "")})
    if answer.status not in (200, 206):
        if answer.status in mirror.transparent:
            return _relay(mirror, answer, {})
        if answer.status == 404:
            raise OssError("NoSuchKey", extras={"Key": call.key})
        raise _failed(f"The origin answered with status {answer.status}.", ec=_STATUS_EC)
    if call.method == "HEAD":
        return _relay(mirror, answer, {"Content-Length": answer.headers.get("content-length", "0")})
    _check_length(answer)
    part = _is_part(answer, asked="Range" in headers)
    if part or mirror.proxy_pass or not call.key:
        return _relay(mirror, answer, {"Content-Range": answer.headers["content-range"]} if part else {})
    if not mirror.check_md5 or _md5_fits(answer):
        _store(call, mirror, answer)
        if wanted:
            return get_object(call)
    return _relay(mirror, answer, {})


class _Known:
    """The origin of a rule, asked in the name that the rule says. Only its own servers get to know it, not where they
    redirect to."""

    def __init__(self, call: Call, mirror: Mirror, origin: Origin) -> None:
        self._call = call
        self._mirror = mirror
        self._origin = origin
        self._hosts = {urlsplit(url).netloc for url in (*mirror.urls, mirror.probe) if url}

    def fetch(self, request: OriginRequest) -> OriginResponse:
        """Raises OriginError, OssError MirrorFailed."""
        if urlsplit(request.url).netloc in self._hosts:
            request = replace(request, headers=self._signed(request))
        return self._origin.fetch(request)

    def _signed(self, request: OriginRequest) -> Mapping[str, str]:
        call, mirror = self._call, self._mirror
        if mirror.auth is not None:
            return s3_headers(mirror.auth, request, call.now)
        if not mirror.using_role:
            return request.headers
        address = own_bucket(call, request.url)
        if address is None:
            raise _failed(f"MirrorUsingRole is for buckets of this service; {request.url} is none.")
        try:
            session = call.assume_role(call.bucket.owner, mirror.role)
        except LookupError as error:
            raise _failed(f"MirrorRole: {error.args[0]}.") from error
        return role_headers(call, session, address, request)


_STATUS_EC = "0041-00000101"
_RANGE_EC = "0041-00000103"
_READ_EC = "0041-00000104"

# With MirrorSwitchAllErrors everything else makes the next origin be asked (vendor SDKs).
_WELL = frozenset({200, 206, 301, 302, 303, 307, 404})

_REASONS = {
    "unreachable": "The origin cannot be reached",
    "timeout": "The origin did not answer in time",
    "unreadable": "The answer of the origin cannot be read",
}


def _failed(detail: str, what: str = "please check your mirror configuration", *, ec: str = "") -> OssError:
    """what: the variant of the message."""
    return OssError("MirrorFailed", f"Mirroring failed, {what}.", ec=ec, extras={"Detail": detail})


def _via(call: Call) -> list[str]:
    """The buckets that this request has gone through with this one. Raises OssError MirrorFailed for a loop."""
    here = f"{call.config.endpoint}/{call.bucket_name}"
    known = [place.strip() for place in call.headers.get(LOOP_HEADER, "").split(",") if place.strip()]
    if here in known or len(known) >= MAX_HOPS:
        raise _failed(f"The origin of this bucket is a bucket that mirrors it: {' -> '.join([*known, here])}.")
    return [*known, here]


def _ask(mirror: Mirror, origin: Origin, request: OriginRequest, url: Callable[[str], str]) -> OriginResponse:
    """The answer of the first origin that is well. url: of the object, below a base. Raises OssError MirrorFailed when
    the last one cannot be read."""
    urls = list(mirror.urls)
    if mirror.probe and len(urls) > 1 and not _is_up(origin, mirror.probe):
        urls.pop(0)
    for base in urls[:-1]:
        try:
            answer = _follow(mirror, origin, replace(request, url=url(base)))
        except OriginError:
            continue
        if answer.status in _WELL if mirror.switch_all_errors else answer.status < 500:
            return answer
    try:
        return _follow(mirror, origin, replace(request, url=url(urls[-1])))
    except OriginError as error:
        detail = f"{_REASONS[error.reason]}: {error}"
        if error.reason == "unreadable":
            raise _failed(detail, "reading the body failed", ec=_READ_EC) from error
        raise _failed(detail, ec=_READ_EC) from error


def _is_up(origin: Origin, probe: str) -> bool:
    try:
        return origin.fetch(OriginRequest("GET", probe, {})).status == 200
    except OriginError:
        return False


def _follow(mirror: Mirror, origin: Origin, request: OriginRequest) -> OriginResponse:
    """The answer after at most 10 redirects; one more redirect is answered as it came."""
    answer = origin.fetch(request)
    for _ in range(MAX_HOPS):
        target = answer.headers.get("location", "")
        if not mirror.follow or answer.status not in (301, 302, 303, 307, 308) or not target:
            break
        url = urljoin(request.url, target)
        if urlsplit(url).scheme not in ("http", "https"):
            break
        request = replace(request, url=url)
        answer = origin.fetch(request)
    return answer


def _check_length(answer: OriginResponse) -> None:
    """Raises OssError MirrorFailed: the body is not as long as the answer says."""
    length = answer.headers.get("content-length")
    if length is not None and not answer.chunked and length != str(len(answer.body)):
        detail = f"Content-Length of the origin is {length}, {len(answer.body)} bytes came."
        raise _failed(detail, "the number of bytes does not match", ec=_RANGE_EC if answer.status == 206 else _READ_EC)


def _is_part(answer: OriginResponse, *, asked: bool) -> bool:
    """Whether only a part of the object came. Raises OssError MirrorFailed when it makes no sense."""
    if answer.status != 206:
        return False
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    first, _, last = span.partition("-")
    if unit != "bytes" or not (first.isdecimal() and last.isdecimal() and total.isdecimal()):
        raise _failed("The origin's Content-Range is invalid.", ec=_RANGE_EC)
    if int(last) - int(first) + 1 != len(answer.body) or int(last) >= int(total):
        raise _failed("The origin's Content-Range does not fit its body.", ec=_RANGE_EC)
    whole = len(answer.body) == int(total)
    if not whole and not asked:
        raise _failed("The origin sent a part of the object without being asked.", ec=_RANGE_EC)
    return not whole or asked


def _md5_fits(answer: OriginResponse) -> bool:
    """True without a Content-MD5."""
    claimed = answer.headers.get("content-md5")
    return claimed is None or claimed == b64encode(md5(answer.body, usedforsecurity=False).digest()).decode()


def _kept(mirror: Mirror, answer: OriginResponse) -> dict[str, str]:
    """The headers of the origin that stay with the object. Raises OssError MirrorFailed when they are too large."""
    kept = {"Content-Type": "application/octet-stream"}
    for name, value in answer.headers.items():
        if name in _KEPT and value:
            kept[_KEPT[name]] = value
        elif mirror.save_meta and name.startswith(META_PREFIX):
            kept[name] = value
    if sum(len(name) + len(value) for name, value in kept.items()) > _MAX_KEPT:
        raise _failed("The headers of the origin are too large to be kept.", "meta is too large")
    return kept


def _relay(mirror: Mirror, answer: OriginResponse, more: Mapping[str, str]) -> Response:
    """The origin's answer, to the client."""
    headers = {**_kept(mirror, answer), **more, **dict(mirror.returned)}
    if answer.chunked and answer.body:
        headers["Transfer-Encoding"] = "chunked"
    return Response(answer.status, headers, answer.body)


def _store(call: Call, mirror: Mirror, answer: OriginResponse) -> None:
    """Keeps what came, unless somebody has written the key in the meantime: that stays."""
    content = call.store.keep(answer.body)
    modified = call.now
    if mirror.user_last_modified:
        claimed = parse_http_date(answer.headers.get("last-modified", ""))
        modified = modified if claimed is None else claimed
    headers = {**_kept(mirror, answer), TAG_HEADER: "MIRROR"}
    with call.store.lock:
        bucket = call.current_bucket()
        if call.key in bucket.objects:
            return
        version = Version(
            call.key,
            version_id=call.ids.version_id(bucket),
            type="Normal",
            modified=modified,
            content=content,
            etag=etag_of(answer.body),
            crc64=crc64_of(answer.body),
            headers=call.store.share(headers),
            storage_class=bucket.storage_class,
            tags=dict(mirror.tags) or None,
        )
        call.publish(bucket, version)
