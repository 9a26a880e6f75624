"""ossfs2's HTTP requests: how each is built, signed, retried, and what errno a failure becomes.

The counterpart of `ossfuse.client`, with which it shares transport, signatures, credentials and the attribution of
requests to callers. It knows keys, headers and parts; nothing of inodes or caches. One client serves all threads of a
mount and keeps no state between requests.

Paths are absolute inside the mount; the mount's prefix is put in front here and nowhere else. Source: 2.0.7,
oss_adapter.cpp and the object store client of PhotonLibOS 0.9.3 that it is built on; errnos measured.
"""

from __future__ import annotations

import calendar
import errno
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from osscloud.clock import Clock
from osscloud.message import Request, Response, Transport
from ossfuse.attributes import Headers, http_date
from ossfuse.client import CALLER, element_text
from ossfuse.errors import RequestFailed
from ossfuse.listing import BadListing, ListPage, parse_page
from ossfuse.ossfs2.content_type import content_type
from ossfuse.ossfs2.options import MountOptions
from ossfuse.ossfs2.profile import Profile
from ossfuse.passwd import Source
from ossfuse.signature import UNSIGNED_PAYLOAD, sign_v1, sign_v4

__all__ = ["ObjectMeta", "Ossfs2Client", "Upload"]

ATTEMPTS = 3
FIRST_WAIT = 0.1
FIRST_QPS_WAIT = 1.0
DELETE_BATCH = 1000

Params = Sequence[tuple[str, str]]
_OK = frozenset((200, 204, 206))
_ERRNOS = {
    400: errno.EINVAL,
    401: errno.EACCES,
    403: errno.EACCES,
    404: errno.ENOENT,
    409: errno.ENOTSUP,
    416: errno.EINVAL,
}


def _encoded(text: str, safe: str = "") -> str:
    return urllib.parse.quote(text.encode("utf-8", "surrogateescape"), safe=safe + "-._~")


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What HEAD told of an object. kind: Normal, Appendable, Multipart or Symlink; mtime: seconds since the epoch.
    storage_class: only an ordinary HEAD tells it."""

    size: int
    mtime: float
    etag: str
    kind: str
    storage_class: str = ""


@dataclass(slots=True)
class Upload:
    """A multipart upload that has been begun. parts: number to ETag."""

    path: str
    id: str
    parts: dict[int, str]


class Ossfs2Client:
    """transport: carries requests. credentials: asked for each request."""

    def __init__(
        self,
        transport: Transport,
        *,
        options: MountOptions,
        profile: Profile,
        credentials: Source,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._options = options
        self._profile = profile
        self._credentials = credentials
        self._clock = clock
        scheme, _, host = options.url.partition("://")
        del scheme
        self._host = f"{options.bucket}.{host}"

    def key(self, path: str) -> str:
        """The object's key for a path inside the mount."""
        return f"{self._options.prefix}{path}" if self._options.prefix else path[1:]

    def directory_key(self, path: str) -> str:
        """The prefix of everything below a directory; "" for the root of a bucket."""
        key = self.key(path)
        return key if not key or key.endswith("/") else f"{key}/"

    # --- looking ----------------------------------------------------------------------------------------------------

    def object_meta(self, path: str) -> ObjectMeta:
        """HEAD ?objectMeta."""
        return _meta(self._perform("HEAD", path, params=[("objectMeta", "")]))

    def head(self, path: str) -> ObjectMeta:
        """An ordinary HEAD, which tells the storage class."""
        return _meta(self._perform("HEAD", path))

    def list_page(self, prefix: str, *, max_keys: int, delimiter: bool, position: str = "") -> tuple[ListPage, str]:
        """One page of the keys below `prefix`, and where the next one begins ("" at the end)."""
        v2 = self._options.list_v2
        params = [("max-keys", str(max_keys)), ("prefix", prefix)]
        if v2:
            params.append(("list-type", "2"))
        if delimiter:
            params.append(("delimiter", "/"))
        if position:
            params.append(("continuation-token" if v2 else "marker", position))
        response = self._perform("GET", "/", key="", params=sorted(params))
        try:
            page = parse_page(response.read())
        except BadListing as error:
            raise RequestFailed(errno.EINVAL, prefix, status=response.status) from error
        return page, page.next_token if v2 else page.next_marker

    def any_below(self, path: str, *, max_keys: int, besides_itself: bool = False) -> bool:
        """Whether there is an object below a directory. max_keys: of the first page; the next ones ask for more.
        besides_itself: the directory's own object does not count."""
        prefix = self.directory_key(path)
        position = ""
        while True:
            page, position = self.list_page(prefix, max_keys=max_keys, delimiter=False, position=position)
            if any(listed.key != prefix or not besides_itself for listed in page.objects):
                return True
            if not position:
                return False
            max_keys = min(max_keys * 4, 100)

    def check(self) -> None:
        """The request of the mount-time check: one key of the mount's prefix, which need not exist."""
        prefix = f"{self._options.prefix}/" if self._options.prefix else ""
        self.list_page(prefix, max_keys=1, delimiter=False)

    def read(self, path: str, start: int, size: int) -> bytes:
        """A range of an object. A refusal is asked for twice, with a new signature (source: get_object_range). Raises
        EINVAL when the object has become shorter."""
        headers = {"range": f"bytes={start}-{start + size - 1}", "x-oss-range-behavior": "standard"}
        try:
            data = self._perform("GET", path, headers=headers).read()
        except RequestFailed as error:
            if error.errno != errno.EACCES:
                raise
            data = self._perform("GET", path, headers=headers).read()
        if len(data) != size:
            raise RequestFailed(errno.EINVAL, path, status=206)
        return data

    def symlink_target(self, path: str) -> str:
        """GET ?symlink: the key that a symbolic link object names."""
        response = self._perform("GET", path, params=[("symlink", "")])
        return urllib.parse.unquote(response.header("x-oss-symlink-target"), errors="surrogateescape")

    # --- changing ---------------------------------------------------------------------------------------------------

    def put(self, path: str, body: bytes = b"") -> None:
        self._perform("PUT", path, headers=self._typed(path), body=body)

    def append(self, path: str, body: bytes, position: int) -> None:
        """AppendObject: makes the object when position is 0."""
        params = [("append", ""), ("position", str(position))]
        self._perform("POST", path, params=params, headers=self._typed(path), body=body)

    def put_symlink(self, path: str, target_key: str) -> None:
        headers = {"x-oss-symlink-target": _encoded(target_key)}
        self._perform("PUT", path, params=[("symlink", "")], headers=headers)

    def copy(self, source: str, target: str, *, overwrite: bool = True) -> None:
        headers = {"x-oss-copy-source": self._source(source)}
        if not overwrite:
            headers["x-oss-forbid-overwrite"] = "true"
        self._perform("PUT", target, headers=headers)

    def delete(self, path: str) -> None:
        """Deleting what is not there is a success."""
        self._perform("DELETE", path)

    def delete_many(self, keys: Sequence[str]) -> None:
        """DeleteObjects, 1,000 at a time. keys: whole keys."""
        for start in range(0, len(keys), DELETE_BATCH):
            batch = keys[start : start + DELETE_BATCH]
            named = "".join(f"<Object><Key>{_escaped(key)}</Key></Object>" for key in batch)
            body = f"<Delete><Quiet>false</Quiet>{named}</Delete>".encode("utf-8", "surrogateescape")
            digest = _content_md5(body)
            self._perform("POST", "/", key="", params=[("delete", "")], headers={"content-md5": digest}, body=body)

    # --- multipart --------------------------------------------------------------------------------------------------

    def begin(self, path: str) -> Upload:
        response = self._perform("POST", path, params=[("uploads", "")], headers=self._typed(path))
        found = element_text(response.read(), "UploadId")
        if not found:
            raise RequestFailed(errno.EINVAL, path, status=response.status)
        return Upload(path, found, {})

    def upload_part(self, upload: Upload, number: int, body: bytes) -> None:
        response = self._perform("PUT", upload.path, params=self._part(upload, number), body=body)
        upload.parts[number] = response.header("ETag")

    def copy_part(self, upload: Upload, number: int, start: int, size: int) -> None:
        """A part made of a range of the object that the upload will replace."""
        headers = {
            "x-oss-copy-source": self._source(upload.path),
            "x-oss-copy-source-range": f"bytes={start}-{start + size - 1}",
        }
        response = self._perform("PUT", upload.path, params=self._part(upload, number), headers=headers)
        upload.parts[number] = element_text(response.read(), "ETag")

    def complete(self, upload: Upload) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in sorted(upload.parts.items())
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._perform("POST", upload.path, params=[("uploadId", upload.id)], body=body)

    def abort(self, upload: Upload) -> None:
        self._perform("DELETE", upload.path, params=[("uploadId", upload.id)])

    @staticmethod
    def _part(upload: Upload, number: int) -> Params:
        return [("partNumber", str(number)), ("uploadId", upload.id)]

    # --- how a request is made --------------------------------------------------------------------------------------

    def _typed(self, path: str) -> dict[str, str]:
        found = content_type(self.key(path))
        return {"content-type": found} if found else {}

    def _source(self, path: str) -> str:
        return f"/{self._options.bucket}/{_encoded(self.key(path))}"

    def _build(self, method: str, key: str, params: Params, headers: Mapping[str, str], body: bytes) -> Request:
        now = self._clock.now()
        credentials = self._credentials.current(now)
        target = f"/{_encoded(key)}"
        if params:
            # A value that is empty is written without "=", the prefix of a whole bucket too.
            target += "?" + "&".join(f"{name}={_encoded(value)}" if value else name for name, value in params)
        complete: Headers = {"host": self._host, **headers}
        region = self._options.region
        if credentials is not None and credentials.security_token:
            complete["x-oss-security-token"] = credentials.security_token
        if region:
            complete["x-oss-content-sha256"] = UNSIGNED_PAYLOAD
            complete["x-oss-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        else:
            complete["date"] = http_date(now)
        if credentials is not None and credentials.access_key_id:
            # The signatures take a parameter without a value as OSS does: a bare name.
            named = dict(params)
            bucket = self._options.bucket
            if region:
                signature = sign_v4(method, bucket, key, named, complete, credentials, region=region)
            else:
                signature = sign_v1(method, bucket, key, named, complete, credentials)
            complete["authorization"] = signature
        complete["user-agent"] = self._profile.user_agent
        complete["connection"] = "keep-alive"
        if body or method == "POST" or (method == "PUT" and not headers.keys() & _BODILESS):
            complete["content-length"] = str(len(body))
        return Request(method, target, complete, body, caller=CALLER.get())

    def _perform(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        """Sends until there is an answer that counts (source: do_http_call)."""
        key = self.key(path) if key is None else key
        attempts, wait = ATTEMPTS, FIRST_WAIT
        qps_wait, qps_left = FIRST_QPS_WAIT, self._options.request_timeout
        while True:
            attempts -= 1
            request = self._build(method, key, params, headers or {}, body)
            try:
                response = self._transport.send(request)
            except OSError as error:
                if attempts > 0:
                    self._clock.sleep(wait)
                    wait *= 2
                    continue
                code = errno.ETIMEDOUT if isinstance(error, TimeoutError) else errno.EIO
                raise RequestFailed(code, path, cause=error) from error
            if response.status in _OK:
                return response
            text = response.read()
            if "QpsLimitExceeded" in element_text(text, "Code"):
                if qps_wait > 0:
                    self._clock.sleep(qps_wait)
                    qps_left -= qps_wait
                    qps_wait = min(qps_wait * 2, qps_left)
                    attempts += 1
                    continue
                attempts = 0
            if response.status >= 500 and attempts > 0:
                self._clock.sleep(wait)
                wait *= 2
                continue
            raise RequestFailed(_errno(method, response.status), path, status=response.status, body=text)


_BODILESS = frozenset({"x-oss-copy-source", "x-oss-symlink-target"})


def _errno(method: str, status: int) -> int:
    """4xx: a table. Nobody sets errno for 5xx, so it is what the last step left behind: ENXIO of the library's sleep,
    or EINVAL of the attempt to read an error document, which an answer to HEAD does not have (measured, 2.0.7)."""
    if 400 <= status < 500:
        return _ERRNOS.get(status, errno.EIO)
    if status >= 500:
        return errno.EINVAL if method == "HEAD" else errno.ENXIO
    return errno.EIO


def _meta(response: Response) -> ObjectMeta:
    size = response.header("Content-Length", "0")
    return ObjectMeta(
        size=int(size) if size.isdigit() else 0,
        mtime=_time(response.header("Last-Modified")),
        etag=response.header("ETag"),
        kind=response.header("x-oss-object-type"),
        storage_class=response.header("x-oss-storage-class"),
    )


def _time(text: str) -> float:
    """Seconds since the epoch of "Fri, 04 Mar 2022 02:46:25 GMT"; 0 when it is no such time."""
    try:
        return float(calendar.timegm(time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")))
    except ValueError:
        return 0.0


def _escaped(key: str) -> str:
    return escape(key, {'"': "&quot;", "'": "&apos;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"})


def _content_md5(body: bytes) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
