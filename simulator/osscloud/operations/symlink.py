"""PutSymlink and GetSymlink. Reading through a link is `object.get_object`."""

from __future__ import annotations

from hashlib import md5
from urllib.parse import quote, unquote_to_bytes

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.metadata import forbids_overwrite, invalid, object_acl, object_headers, storage_class
from osscloud.operations.object import publish
from osscloud.operations.selection import check_object_name, select, version_headers
from osscloud.store import Version
from osscloud.xml import http_date

__all__ = ["get_symlink", "put_symlink"]


def put_symlink(call: Call) -> Response:
    """PUT /key?symlink with x-oss-symlink-target (urlencoded). Whether the target exists is not looked at."""
    target = unquote_to_bytes(call.headers.get("x-oss-symlink-target", "")).decode("utf-8", "surrogateescape")
    if not target:
        raise invalid("x-oss-symlink-target", "", "The symlink target is missing.")
    check_object_name(target)
    version = Version(
        call.key,
        type="Symlink",
        modified=call.now,
        etag=f'"{md5(target.encode(), usedforsecurity=False).hexdigest().upper()}"',
        headers=object_headers(call),
        storage_class=storage_class(call.headers, call.bucket.storage_class),
        acl=object_acl(call.headers),
        symlink_target=target,
    )
    publish(call, version, forbid_overwrite=forbids_overwrite(call.headers))
    return Response(200, {"ETag": version.etag, **version_headers(call.bucket, version)})


def get_symlink(call: Call) -> Response:
    """GET /key?symlink: the target in a header, no body. Raises OssError NotSymlink."""
    version = select(call)
    if version.symlink_target is None:
        raise OssError("NotSymlink", extras={"Key": call.key})
    headers = {
        "ETag": version.etag,
        "Last-Modified": http_date(version.modified),
        "x-oss-symlink-target": quote(version.symlink_target, safe="/"),
        **version.headers,
        **version_headers(call.bucket, version),
    }
    return Response(200, headers)
