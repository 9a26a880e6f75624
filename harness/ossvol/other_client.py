"""Another client of the bucket, as an SDK is: signed requests, straight to the service, logged under its own name.

Used by scenario steps that must show what somebody without a mount sees and pays. Not a general OSS client: a few
requests for objects, and configurations of the bucket. Called from the runner's thread.
"""

from __future__ import annotations

import base64
import email.utils
import errno
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from osscloud.clock import Clock
from osscloud.message import Request, Response

if TYPE_CHECKING:
    from osscloud.accounts import AccessKey
    from osscloud.service import OssService

__all__ = ["OtherClient"]

_USER_AGENT = "aliyun-sdk-python/2.19.1(Linux/ossvol)"
_SIGNED = ("continuation-token", "policy", "restore", "website")


class OtherClient:
    """Signs with `key`. Errors of the server become OSError: 404 ENOENT, 403 EPERM, anything else EIO."""

    def __init__(self, service: OssService, key: AccessKey, clock: Clock) -> None:
        self._service = service
        self._key = key
        self._clock = clock

    def head(self, bucket: str, key: str) -> Response:
        """HeadObject."""
        return self._send("HEAD", bucket, key)

    def get(self, bucket: str, key: str) -> Response:
        """GetObject."""
        return self._send("GET", bucket, key)

    def put(self, bucket: str, key: str, body: bytes, *, content_type: str, acl: str = "default") -> None:
        """PutObject. acl: of the object."""
        self._send("PUT", bucket, key, body=body, headers={"content-type": content_type, "x-oss-object-acl": acl})

    def delete(self, bucket: str, key: str) -> None:
        """DeleteObject; none is no error."""
        self._send("DELETE", bucket, key)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """Every page of ListObjectsV2, 1,000 keys each."""
        from defusedxml import ElementTree

        keys: list[str] = []
        token = ""
        while True:
            params = {"list-type": "2", "max-keys": "1000", "prefix": prefix}
            if token:
                params["continuation-token"] = token
            page = ElementTree.fromstring(self._send("GET", bucket, "", params).read())
            keys += [element.text or "" for element in page.iterfind("Contents/Key")]
            token = page.findtext("NextContinuationToken") or ""
            if not token:
                return keys

    def restore(self, bucket: str, key: str) -> None:
        """RestoreObject, for a day."""
        self._send("POST", bucket, key, {"restore": ""}, b"<RestoreRequest><Days>1</Days></RestoreRequest>")

    def configure(self, bucket: str, name: str, document: bytes | None) -> None:
        """PutBucketWebsite and the like, by the name of the sub-resource; None deletes the configuration."""
        self._send("DELETE" if document is None else "PUT", bucket, "", {name: ""}, document or b"")

    def _send(
        self,
        method: str,
        bucket: str,
        key: str,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """headers: lower-case names."""
        params, more = params or {}, headers or {}
        date = email.utils.formatdate(self._clock.now(), usegmt=True)
        signed = "&".join(f"{k}={v}" if v else k for k, v in sorted(params.items()) if k in _SIGNED)
        resource = f"/{bucket}/{key}" + (f"?{signed}" if signed else "")
        own = "".join(f"{name}:{value}\n" for name, value in sorted(more.items()) if name.startswith("x-oss-"))
        text = f"{method}\n\n{more.get('content-type', '')}\n{date}\n{own}{resource}".encode()
        signature = base64.b64encode(hmac.digest(self._key.secret.encode(), text, "sha1")).decode()
        query = urlencode(params, quote_via=quote)
        target = f"/{bucket}/{quote(key)}" + (f"?{query}" if query else "")
        sent = {
            **more,
            "host": "localhost",
            "date": date,
            "user-agent": _USER_AGENT,
            "authorization": f"OSS {self._key.id}:{signature}",
            "content-length": str(len(body)),
        }
        response = self._service.handle(Request(method, target, sent, body))
        if response.status >= 400:
            code = {404: errno.ENOENT, 403: errno.EPERM}.get(response.status, errno.EIO)
            detail = response.header("x-oss-err") or f"HTTP {response.status}"
            raise OSError(code, detail, key)
        return response
