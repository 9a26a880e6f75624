"""ossfs's HTTP requests: how each is built, signed, retried, and what errno a failure becomes.

It knows keys, headers and parts; nothing of files, caches or permissions. One `ObjectClient` serves all threads of a
mount: it keeps no state between requests but the host (which the mount check may replace).

Paths are absolute inside the mount; the mount's prefix is put in front here and nowhere else.
"""

from __future__ import annotations

import base64
import contextlib
import contextvars
import errno
import functools
import hashlib
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast
from urllib.parse import quote, urlsplit

from osscloud.clock import Clock
from osscloud.message import Caller, Request, Response, Transport
from ossfuse import wtf8
from ossfuse.attributes import META, Headers, http_date
from ossfuse.encryption import CustomerKey, customer_headers, object_headers, source_headers
from ossfuse.errors import RequestFailed, failure
from ossfuse.listing import BadListing, ListPage, parse_page
from ossfuse.options import MountOptions
from ossfuse.passwd import ANONYMOUS, Credentials, Source
from ossfuse.profile import Profile
from ossfuse.signature import UNSIGNED_PAYLOAD, sign_v1, sign_v4

__all__ = ["CALLER", "ObjectClient", "Part", "calling", "element_text", "encode"]

T = TypeVar("T")
Params = Sequence[tuple[str, str]]

_BUFFERS = (bytes, bytearray, memoryview)
MAX_REDIRECTS = 20
REDIRECTS = frozenset((301, 302, 303, 307, 308))
MAX_KEY = 1024
WRITE_ERROR_WAIT = 2.0
_UNSAFE = re.compile(r"[^A-Za-z0-9/._~-]")
BARE = frozenset({"uploads"})  # parameters written without "="
CALLER: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("ossfuse_caller", default=None)


UNSENT = RequestFailed(errno.EIO, "")


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Every request sent inside is attributed to `caller`."""
    token = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(token)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload. number: from 1; start, size: in the file; copied: unchanged on the server, so it is
    copied there."""

    number: int
    start: int
    size: int
    copied: bool = False


class Pouring(Protocol):
    """A transport with a true attribute `pours`: it hands a body over as it comes in; the answer has none then."""

    def send(self, request: Request, sink: _FileRange | None = None) -> Response: ...


class _LocalFailure(Exception):
    """What a download was written to failed, so asking the server again is of no use. The cause is the OSError."""


@dataclass(frozen=True, slots=True)
class _FileRange:
    """Where a download goes. room: how much of it fits."""

    fd: int
    start: int
    room: int

    def write(self, position: int, piece: memoryview) -> None:
        offset = self.start + position
        while piece:
            try:
                written = os.pwrite(self.fd, piece, offset)
            except OSError as error:
                raise _LocalFailure from error
            piece = piece[written:]
            offset += written


def encode(text: str) -> str:
    """Percent-encoding of ossfs: letters, digits and "/.-_~" stay."""
    return quote(text.encode("utf-8", "surrogateescape"), safe="/.-_~") if _UNSAFE.search(text) else text


class ObjectClient:
    """transport: carries requests; parts and listings' HEADs go out side by side when it has a true attribute
    `concurrent`, one after the other when not. on_fatal: called where the real process would end itself."""

    def __init__(
        self,
        transport: Transport,
        *,
        options: MountOptions,
        profile: Profile,
        credentials: Source,
        clock: Clock,
        rng: random.Random,
        on_fatal: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self._options = options
        self._profile = profile
        self._credentials = credentials
        self._clock = clock
        self._rng = rng
        self._on_fatal = on_fatal
        self._concurrent = bool(getattr(transport, "concurrent", False))
        self._pouring = cast(Pouring, transport) if getattr(transport, "pours", False) else None
        self.host = options.url
        self._by_path = options.use_path_request_style
        self._agent = "" if options.noua else profile.user_agent + options.instance_name

    @property
    def bucket(self) -> str:
        return self._options.bucket

    def key(self, path: str) -> str:
        """The object's key for a path inside the mount."""
        key = (self._options.prefix + path)[1:]
        return wtf8.encode(key) if self._options.use_wtf8 else key

    def has_credentials(self) -> bool:
        """Whether there is a key to sign with now; temporary keys are fetched for it."""
        return self._credentials.current(self._clock.now()) is not None

    def copy_source(self, path: str) -> str:
        """Value of x-oss-copy-source."""
        return encode(f"{self._options.service_path}{self.bucket}/{self.key(path)}")

    def end_process(self, path: str) -> OSError:
        """Where the real process ends itself: calls on_fatal. Returns the error for a caller that lives on."""
        if self._on_fatal:
            self._on_fatal()
        return failure(errno.ECONNABORTED, path)

    # --- single requests ------------------------------------------------------------------------------------------

    def head(self, path: str, *, attempts: int | None = None, side_by_side: bool = False) -> Headers:
        """Headers of an object: Content-Type, Content-Length, ETag, Last-Modified, every x-oss-*; lower-case names.
        side_by_side: one of several requests, of which a redirect without Location counts as success."""
        response = self._head(path, attempts, side_by_side)
        return {wanted: value for name, value in response.headers.items() if (wanted := _wanted(name))}

    def _head(self, path: str, attempts: int | None, side_by_side: bool) -> Response:
        try:
            return self._perform("HEAD", path, attempts=attempts, side_by_side=side_by_side)
        except RequestFailed:
            # An object encrypted with a customer's key can't be looked at without it (source: HeadRequest).
            for key in self._options.sse_keys:
                with contextlib.suppress(RequestFailed):
                    return self._perform("HEAD", path, headers=customer_headers(key), attempts=attempts)
            raise

    def put(
        self,
        path: str,
        meta: Mapping[str, str],
        body: bytes = b"",
        *,
        content_type: str = "",
        from_file: bool = False,
    ) -> None:
        """Uploads a whole object. meta: headers of which x-oss-meta* are sent. content_type "": none is sent.
        from_file: the body is that of an open file, of which 1.80 too makes a digest when it is empty."""
        headers = self._object_headers(path, meta, content_type)
        if self._options.enable_content_md5 and (body or from_file or self._profile.put_body_error):
            headers["content-md5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        self._limit_traffic(headers, self._options.upload_traffic_limit)
        self._check_put(path, self._perform("PUT", path, headers=headers, body=body))

    def copy(self, path: str, meta: Mapping[str, str], *, content_type: str = "") -> None:
        """PUT with the x-oss-copy-source that `meta` holds: a copy, or new metadata for the object itself."""
        headers = self._object_headers(path, meta, content_type, copied=True)
        headers["x-oss-copy-source"] = meta["x-oss-copy-source"]
        self._check_put(path, self._perform("PUT", path, headers=headers))

    def delete(self, path: str) -> None:
        self._perform("DELETE", path)

    def get(
        self,
        path: str,
        start: int,
        size: int,
        *,
        stream: bool = False,
        attempts: int | None = None,
        customer_key: str = "",
    ) -> bytes:
        """Bytes of an object. size 0: no Range. stream: the direct read of 1.91. An answer longer than `size`, an error
        document too, does not fit where ossfs wants to put it: curl's write error, which is tried again. customer_key:
        MD5 of the key that the object is encrypted with, as HEAD told."""
        headers = self._get_headers(start, size, customer_key)
        if stream:
            headers["x-oss-range-behavior"] = "standard"
        return self._perform("GET", path, headers=headers, attempts=attempts, room=size).read()

    def download(
        self,
        path: str,
        start: int,
        size: int,
        fd: int,
        *,
        attempts: int | None = None,
        customer_key: str = "",
        side_by_side: bool = False,
    ) -> None:
        """As `get`, into a file, at the same place as in the object. size is not 0. side_by_side: as for `head`. Raises
        OSError of the file too."""
        headers = self._get_headers(start, size, customer_key)
        target = _FileRange(fd, start, size)
        try:
            response = self._perform(
                "GET",
                path,
                headers=headers,
                attempts=attempts,
                room=size,
                target=target,
                side_by_side=side_by_side,
            )
            position = 0
            for piece in (response.body,) if isinstance(response.body, _BUFFERS) else response.body.chunks():
                target.write(position, memoryview(piece))
                position += len(piece)
        except _LocalFailure as failed:
            if isinstance(failed.__cause__, OSError):
                raise failed.__cause__ from None
            raise

    def _get_headers(self, start: int, size: int, customer_key: str) -> Headers:
        headers = {"range": f"bytes={start}-{start + size - 1}"} if size else {}
        for key in self._options.sse_keys:
            if customer_key and key.digest == customer_key:
                headers |= customer_headers(key)
        self._limit_traffic(headers, self._options.download_traffic_limit)
        return headers

    def list_objects(
        self, path: str, *, delimiter: str = "/", max_keys: int = 1000, marker: str = "", token: str = ""
    ) -> ListPage:
        """One page of the directory `path`. Raises OSError; EIO when the answer is no listing."""
        params: list[tuple[str, str]] = []
        if token:
            params.append(("continuation-token", token))
        if delimiter:
            params.append(("delimiter", delimiter))
        if self._options.listobjectsv2:
            params.append(("list-type", "2"))
        if marker:
            params.append(("marker", marker))
        params.append(("max-keys", str(max_keys)))
        params.append(("prefix", self.list_prefix(path)))
        response = self._perform("GET", path, key="", params=params)
        try:
            page = parse_page(response.read())
        except BadListing as error:
            raise RequestFailed(errno.EIO, path, status=response.status) from error
        return page.decoded(wtf8.decode) if self._options.use_wtf8 else page

    def list_prefix(self, path: str) -> str:
        """The prefix parameter that lists the directory `path`."""
        key = self.key(path)
        return key if not key or key.endswith("/") else key + "/"

    def check(self, *, prefix_object: bool, params: Params = ()) -> Response:
        """The request of the mount-time check: GET of the prefix as an object, or of the bucket. Raises RequestFailed
        with the status and body of the answer."""
        key = self.key("/") if prefix_object else ""
        return self._perform("GET", "/", key=key, params=params, trusted_redirects=True)

    # --- multipart ------------------------------------------------------------------------------------------------

    def initiate(self, path: str, meta: Mapping[str, str], *, content_type: str, copied: bool = False) -> str:
        """Begins a multipart upload and returns its id."""
        headers = self._object_headers(path, meta, content_type, copied=copied)
        headers["accept"] = ""
        headers["content-type"] = content_type
        response = self._perform("POST", path, params=[("uploads", "")], headers=headers)
        if not (found := element_text(response.read(), "UploadId")):
            raise RequestFailed(getattr(errno, self._profile.failed_parts_errno), path, status=response.status)
        return found

    def upload_part(self, path: str, upload: str, number: int, body: bytes, *, attempts: int | None = None) -> str:
        """Sends one part and returns its ETag."""
        headers = {"accept": ""}
        if self._options.enable_content_md5:
            headers["content-md5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if self._options.sse == "SSE-C":
            headers |= object_headers("SSE-C", "", self._options.sse_keys)
        self._limit_traffic(headers, self._options.upload_traffic_limit)
        params = [("partNumber", str(number)), ("uploadId", upload)]
        response = self._perform("PUT", path, params=params, headers=headers, body=body, attempts=attempts)
        etag = response.header("ETag")
        if self._options.enable_content_md5 and self._options.sse not in ("SSE-C", "KMS"):
            expected = hashlib.md5(body, usedforsecurity=False).hexdigest()
            if etag.strip('"').lower() != expected:
                raise RequestFailed(errno.EIO, path, status=response.status)
        return etag

    def copy_part(
        self, path: str, upload: str, part: Part, *, source: str, content_type: str, attempts: int | None = None
    ) -> str:
        """Makes a part of a range of an object on the server and returns its ETag."""
        headers = {
            "content-type": content_type,
            "x-oss-copy-source": source,
            "x-oss-copy-source-range": f"bytes={part.start}-{part.start + part.size - 1}",
        }
        params = [("partNumber", str(part.number)), ("uploadId", upload)]
        response = self._perform("PUT", path, params=params, headers=headers, attempts=attempts)
        return element_text(response.read(), "ETag").strip('"')

    def complete(self, path: str, upload: str, etags: Sequence[str], *, content_type: str) -> None:
        """Makes the object of its parts. content_type: of the object; 1.80 gives it to this request too."""
        if not all(etags):
            raise RequestFailed(getattr(errno, self._profile.failed_parts_errno), path)
        parts = "".join(
            f"<Part>\n  <PartNumber>{number}</PartNumber>\n  <ETag>{etag}</ETag>\n</Part>\n"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>\n{parts}</CompleteMultipartUpload>\n".encode()
        headers = {"accept": "", "content-type": self._profile.complete_content_type or content_type}
        self._perform("POST", path, params=[("uploadId", upload)], headers=headers, body=body)

    def abort(self, path: str, upload: str) -> None:
        self._perform("DELETE", path, params=[("uploadId", upload)])

    def list_uploads(self) -> bytes:
        """The XML that lists unfinished uploads. With a mounted directory ossfs asks that directory's object for them,
        which OSS does not answer."""
        return self._perform("GET", "/", params=[("uploads", "")], headers={"accept": ""}).read()

    def multipart(
        self,
        path: str,
        meta: Mapping[str, str],
        parts: Sequence[Part],
        *,
        content_type: str,
        copied: bool,
        source: str = "",
        body: Callable[[Part], bytes] | None = None,
    ) -> None:
        """A whole multipart upload. copied: begun as the copy of an object; source: x-oss-copy-source of the parts that
        are copied; body: content of the others, called when a part is sent. Raises RequestFailed; what was begun is
        aborted then (1.80 leaves it behind)."""
        upload = self.initiate(path, meta, content_type=content_type, copied=copied)

        def job(part: Part) -> Callable[[int | None], str]:
            def send(attempts: int | None) -> str:
                if part.copied or body is None:
                    return self.copy_part(
                        path, upload, part, source=source, content_type=content_type, attempts=attempts
                    )
                return self.upload_part(path, upload, part.number, body(part), attempts=attempts)

            return send

        etags, well = self.together([job(part) for part in parts], parallel=self._options.parallel_count)
        if not well or not all(etags):
            if self._profile.aborts_failed_upload:
                self.abort(path, upload)
            raise RequestFailed(getattr(errno, self._profile.failed_parts_errno), path)
        self.complete(path, upload, [etag or "" for etag in etags], content_type=content_type)

    def copy_in_parts(self, path: str, meta: Mapping[str, str], size: int, *, content_type: str) -> None:
        """Copies an object of `size` bytes, named by the x-oss-copy-source in `meta`, by part copies."""
        chunk = self._options.multipart_copy_size
        parts = [
            Part(number, start, min(chunk, size - start), copied=True)
            for number, start in enumerate(range(0, size, chunk), 1)
        ]
        source = meta["x-oss-copy-source"]
        self.multipart(path, meta, parts, content_type=content_type, copied=True, source=source)

    # --- several requests at once ---------------------------------------------------------------------------------

    def together(self, jobs: Sequence[Callable[[int | None], T]], *, parallel: int) -> tuple[list[T | None], bool]:
        """Runs `jobs`, up to `parallel` at a time; returns their results (None where there is none) and whether all of
        them ended well. A job takes the number of attempts that its request may make, and may raise RequestFailed.

        404 is an answer like any other; every other failure is tried again in a new round, `retries` times at most
        (source: S3fsMultiCurl::Request)."""
        results: list[T | None] = [None] * len(jobs)
        attempts = None if self._profile.multi_request_retries_inside else 1
        pending = list(range(len(jobs)))
        for _round in range(self._options.retries + 1):
            failed = []
            outcomes = self._run([jobs[index] for index in pending], attempts, parallel)
            for index, outcome in zip(pending, outcomes, strict=True):
                if not isinstance(outcome, RequestFailed):
                    results[index] = outcome
                elif outcome.status != 404:
                    failed.append(index)
            pending = failed
            if not pending:
                return results, True
        return results, False

    def _run(
        self, jobs: Sequence[Callable[[int | None], T]], attempts: int | None, parallel: int
    ) -> list[T | RequestFailed]:
        if self._profile.multi_request_reversed:
            outcomes: list[T | RequestFailed] = []
            for start in range(0, len(jobs), parallel):
                outcomes += reversed(self._run_batch(jobs[start : start + parallel][::-1], attempts, parallel))
            return outcomes
        return self._run_batch(jobs, attempts, parallel)

    def _run_batch(
        self, jobs: Sequence[Callable[[int | None], T]], attempts: int | None, parallel: int
    ) -> list[T | RequestFailed]:
        if len(jobs) < 2 or parallel < 2 or not self._concurrent:
            return [_outcome(job, attempts) for job in jobs]
        outcomes: list[T | RequestFailed] = [UNSENT] * len(jobs)
        waiting = iter(enumerate(jobs))  # next() of it is atomic: each job goes to one thread

        def work() -> None:
            for index, job in waiting:
                outcomes[index] = _outcome(job, attempts)

        # Its own threads for every batch, as ossfs does: batches never wait for each other. One task a thread, not a
        # job: a future costs half of what a small request does.
        count = min(parallel, len(jobs))
        with ThreadPoolExecutor(count, thread_name_prefix="ossfs-multi") as pool:
            for done in [pool.submit(contextvars.copy_context().run, work) for _ in range(count)]:
                done.result()
        return outcomes

    # --- how a request is made ------------------------------------------------------------------------------------

    def _object_headers(
        self, path: str, meta: Mapping[str, str], content_type: str, *, copied: bool = False
    ) -> Headers:
        # "x-oss-metadata-directive" begins like metadata and travels with it, in every release.
        headers = {name: value for name, value in meta.items() if name.startswith(META[:-1])}
        if content_type:
            headers["content-type"] = content_type
        if self._options.default_acl:
            headers[self._profile.acl_header] = self._options.default_acl
        if self._options.storage_class.lower() != "standard":
            headers["x-oss-storage-class"] = self._options.storage_class.upper()
        keys: tuple[CustomerKey, ...] = self._options.sse_keys
        if copied:
            headers |= source_headers(meta, keys)
        else:
            headers |= object_headers(self._options.sse, self._options.sse_kms_id, keys)
        return headers | self._options.additional_headers.of(path)

    @staticmethod
    def _limit_traffic(headers: Headers, limit: int) -> None:
        if limit:
            headers["x-oss-traffic-limit"] = str(limit)

    def _build(self, method: str, key: str, params: Params, headers: Mapping[str, str], body: bytes) -> Request:
        host = _host_of(self.host)
        now = self._clock.now()
        credentials = self._credentials.current(now) or ANONYMOUS
        complete: Headers = {"accept": "*/*"}
        if headers:
            complete = {name: value for name, value in {"accept": "*/*", **headers}.items() if value}
        if self._by_path:
            target = f"/{self.bucket}/{encode(key)}"
        else:
            host = f"{self.bucket}.{host}"
            target = f"/{encode(key)}"
        if params:
            target += "?" + "&".join(name if name in BARE else f"{name}={encode(value)}" for name, value in params)
        complete["host"] = host
        if self._agent:
            complete["user-agent"] = self._agent
        if self._options.requester_pays:
            complete["x-oss-request-payer"] = "requester"
        if credentials.security_token:
            complete["x-oss-security-token"] = credentials.security_token
        if self._options.sigv4:
            complete["x-oss-content-sha256"] = UNSIGNED_PAYLOAD
            complete["x-oss-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        else:
            complete["date"] = http_date(now)
        if credentials.access_key_id:
            complete["authorization"] = self._sign(method, key, params, complete, credentials)
        if body or method in ("PUT", "POST"):
            complete["content-length"] = str(len(body))
        return Request(method, target, complete, body, caller=CALLER.get())

    def _sign(self, method: str, key: str, params: Params, headers: Mapping[str, str], credentials: Credentials) -> str:
        if not self._options.sigv4:
            return sign_v1(method, self.bucket, key, dict(params), headers, credentials)
        region, product = self._options.region, "oss"
        if self._options.cloudbox_id:
            region, product = self._options.cloudbox_id, "oss-cloudbox"
        return sign_v4(method, self.bucket, key, dict(params), headers, credentials, region=region, product=product)

    def _perform(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempts: int | None = None,
        trusted_redirects: bool = False,
        room: int | None = None,
        target: _FileRange | None = None,
        side_by_side: bool = False,
    ) -> Response:
        """Sends until there is an answer that counts (source: S3fsCurl::RequestPerform). side_by_side: every status
        below 400 does (source: S3fsMultiCurl::MultiRead)."""
        key = self.key(path) if key is None else key
        limit = self._options.retries if attempts is None else attempts
        last: RequestFailed | None = None
        for attempt in range(limit):
            request = self._build(method, key, params, headers or {}, body)
            try:
                if target is not None and self._pouring is not None:
                    response = self._pouring.send(request, target)
                else:
                    response = self._transport.send(request)
                response = self._follow(response, request, trusted=trusted_redirects)
            except OSError as error:
                last = RequestFailed(errno.EIO, path, cause=error)
                if isinstance(error, ssl.SSLCertVerificationError):
                    if self._profile.exits_on_certificate_error:
                        self.end_process(path)
                    raise last from error
                if attempts is None:
                    self._clock.sleep(_connection_wait(error))
                continue
            if room is not None and len(response.body) > room:
                last = RequestFailed(errno.EIO, path, status=response.status, body=response.read())
                if attempts is None:
                    self._clock.sleep(WRITE_ERROR_WAIT)
                continue
            if self._succeeded(response.status) or (side_by_side and response.status < 400):
                return response
            text = response.read()
            code, again = self._judge(method, key, response.status, text)
            last = RequestFailed(code, path, status=response.status, body=text)
            if not again:
                break
            if attempts is None:
                self._clock.sleep(self._server_wait(attempt))
        raise last or RequestFailed(errno.EIO, path)

    def _succeeded(self, status: int) -> bool:
        return 200 <= status < (300 if self._profile.redirect_is_failure else 400)

    def _judge(self, method: str, key: str, status: int, body: bytes) -> tuple[int, bool]:
        """errno of a failed answer, and whether to try again."""
        profile = self._profile
        if profile.retry_any_5xx and status >= 500:
            return errno.EIO, True
        # The body of the answer to a DELETE is not kept.
        if profile.size_error_codes and method != "DELETE" and (code := element_text(body, "Code")):
            known = {"EntityTooLarge": errno.EFBIG, "KeyTooLongError": errno.ENAMETOOLONG}
            if profile.object_state_is_eremote:
                known["InvalidObjectState"] = errno.EREMOTE
            if code in known:
                return known[code], False
        if status == 400 and method == "HEAD":
            if profile.head_bad_request_errno == "EPERM" and len(key.encode("utf-8", "surrogateescape")) > MAX_KEY:
                return errno.ENAMETOOLONG, False
            return getattr(errno, profile.head_bad_request_errno), False
        if status in (500, 503):
            return errno.EIO, True
        fixed = {403: errno.EPERM, 404: errno.ENOENT, 501: getattr(errno, profile.not_implemented_errno)}
        return fixed.get(status, errno.EIO), False

    def _server_wait(self, attempt: int) -> float:
        if self._profile.retry_wait_fixed is not None:
            return self._profile.retry_wait_fixed
        wait = 2 << attempt
        return wait + self._rng.randrange(wait)

    def _follow(self, response: Response, request: Request, *, trusted: bool) -> Response:
        for _ in range(MAX_REDIRECTS):
            if response.status not in REDIRECTS or not (location := response.header("Location")):
                return response
            parts = urlsplit(location)
            headers = dict(request.headers)
            if parts.netloc and parts.netloc != headers["host"]:
                headers["host"] = parts.netloc
                if not trusted:
                    headers.pop("authorization", None)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            request = Request(request.method, target, headers, request.body, caller=request.caller)
            response = self._transport.send(request)
        return response

    def _check_put(self, path: str, response: Response) -> None:
        if self._profile.put_body_error and element_text(response.read(), "Code"):
            raise RequestFailed(errno.EIO, path, status=response.status, body=response.read())


@functools.lru_cache(maxsize=1024)
def _wanted(name: str) -> str:
    """A header of HEAD's answer in lower case, "" when nobody asks for it."""
    lower = name.lower()
    plain = ("content-type", "content-length", "etag", "last-modified")
    return lower if lower in plain or lower.startswith("x-oss") else ""


def _outcome(job: Callable[[int | None], T], attempts: int | None) -> T | RequestFailed:
    try:
        return job(attempts)
    except RequestFailed as failed:
        return failed


def _connection_wait(error: OSError) -> float:
    """Seconds before the next attempt after no answer came."""
    if isinstance(error, TimeoutError | socket.gaierror | ssl.SSLError | ConnectionResetError | BrokenPipeError):
        return 2.0
    return 4.0


@functools.lru_cache(maxsize=16)
def _host_of(url: str) -> str:
    return urlsplit(url).netloc


def element_text(body: bytes, name: str) -> str:
    """Text of the first element `name`, "" when there is none. As ossfs does, it looks at nothing else of the XML."""
    if not body:
        return ""
    found = re.search(rb"<%s>([^<]*)</%s>" % (name.encode(), name.encode()), body)
    return found.group(1).decode("utf-8", "replace").replace("&quot;", '"') if found else ""
