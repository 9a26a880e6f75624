"""The S3-compatible face: requests signed the AWS way are translated to OSS's own, and the answers back.

Same endpoints, same data, same pipeline; this module only renames headers and values and gives documents S3's
namespace. What OSS refuses on this face (aws-chunked bodies) is refused where signatures are checked.

Pure functions; any thread.
"""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from osscloud.addressing import Address
from osscloud.errors import OssError
from osscloud.message import Request, Response
from osscloud.s3documents import CLASSES, from_s3, to_s3_shape
from osscloud.xml import canonical

__all__ = ["NAMESPACE", "form_headers", "to_native", "to_s3"]

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_CLASSES_BACK = {native: amazon for amazon, native in CLASSES.items()}

# Part of the signature, or about the transfer only.
_DROPPED = frozenset({"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-te", "x-amz-trailer"})

# Answer headers that have an x-amz name; every other x-oss header (x-oss-server-time, x-oss-hash-crc64ecma, ...) stays.
_RENAMED = {
    "x-oss-" + name: "x-amz-" + name
    for name in (
        "bucket-region",
        "copy-source-version-id",
        "delete-marker",
        "expiration",
        "restore",
        "server-side-encryption",
        "storage-class",
        "tagging-count",
        "version-id",
    )
}

# What OSS does not offer to S3 clients. Taking such a header and not doing it would be worse than to refuse.
_REFUSED = (
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-website-redirect-location",
)

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"

_TRANSLATED = frozenset({"lifecycle", "website", "restore"})

_READ_PARAMETERS = frozenset({"acl", "tagging", "uploadId"})


def to_native(request: Request, address: Address) -> Request:
    """The same request as a native client would have sent it. address: of that request. Raises OssError
    NotImplemented."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if not name.startswith("x-amz-"):
            headers[name] = value
        elif name.startswith(_REFUSED) and value.lower() != "false":  # rclone says that it wants no lock
            raise OssError("NotImplemented", extras={"Header": name})
        elif name not in _DROPPED:
            native, translated = _native_header(name[6:], value, in_bucket=not address.key)
            headers[native] = translated
    body = request.body
    if request.method == "PUT" and not address.key and body and not address.params:
        # LocationConstraint is S3's; OSS's CreateBucketConfiguration knows nothing of it.
        body = b""
    for param in address.params:
        if param in _TRANSLATED and body:
            body = _translated(param, bytes(body), headers)
    return Request(request.method, request.target, headers, body, request.client_ip, request.secure, request.caller)


def _translated(param: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The body as OSS spells it. A Content-MD5 that fits the body as sent becomes that of the other one."""
    native = from_s3(param, body)
    if headers.get("content-md5") == _digest(body):
        headers["content-md5"] = _digest(native)
    return native


def _digest(body: bytes) -> str:
    return b64encode(md5(body, usedforsecurity=False).digest()).decode()


def _native_header(name: str, value: str, *, in_bucket: bool) -> tuple[str, str]:
    match name:
        case "acl":
            return ("x-oss-acl" if in_bucket else "x-oss-object-acl"), value
        case "copy-source":
            return "x-oss-copy-source", value
        case "storage-class":
            return "x-oss-storage-class", CLASSES.get(value, value)
        case "server-side-encryption":
            return "x-oss-server-side-encryption", "KMS" if value == "aws:kms" else value
        case "tagging-directive":
            return "x-oss-tagging-directive", value.capitalize()
        case _:
            return "x-oss-" + name, value


def form_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a PostObject form (lower-case names) as native ones: S3's name them so in every form, whoever
    signed it."""
    native: dict[str, str] = {}
    for name, value in fields.items():
        if name == "acl" and "x-oss-object-acl" not in fields:
            native["x-oss-object-acl"] = value
        elif name.startswith("x-amz-") and name not in _DROPPED:
            renamed, translated = _native_header(name[6:], value, in_bucket=False)
            native[renamed] = translated
        else:
            native[name] = value
    return native


def to_s3(request: Request, address: Address, response: Response) -> Response:
    """The answer as an S3 client expects it. request, address: of the request before `to_native`."""
    headers = {_s3_name(name): value for name, value in response.headers.items()}
    headers["x-amz-request-id"] = headers["x-oss-request-id"]
    storage_class = headers.get("x-amz-storage-class")
    if storage_class is not None:
        headers["x-amz-storage-class"] = _CLASSES_BACK.get(storage_class, storage_class)
    body = response.body
    if response.status == 200 and body and _is_document(request.method, address, request.headers):
        body = _document(response.read(), address.params)
        headers["Content-Length"] = str(len(body))
    if type(response) is Response:
        return Response(response.status, headers, body)
    return replace(response, headers=headers, body=body)


@functools.lru_cache(maxsize=1024)
def _s3_name(name: str) -> str:
    """The name of an answer's header."""
    return "x-amz-meta-" + name[11:] if name.startswith("x-oss-meta-") else _RENAMED.get(name, name)


def _is_document(method: str, address: Address, headers: Mapping[str, str]) -> bool:
    """True when the body of a successful answer is OSS's XML, not the content of an object."""
    if method == "GET":
        return not address.key or not _READ_PARAMETERS.isdisjoint(address.params)
    return method == "POST" or (method == "PUT" and "x-amz-copy-source" in headers)


def _document(body: bytes, params: Mapping[str, str]) -> bytes:
    if "acl" in params:
        return _access_control_policy(body)
    for param in params:
        if param in _TRANSLATED:
            document: Element = fromstring(body)
            to_s3_shape(param, document)
            body = canonical(document)
    declaration, _, rest = body.partition(b"?>\n")
    root, bracket, content = rest.partition(b">")
    for native, amazon in _CLASSES_BACK.items():
        # Escaped text holds no "<": this can only be the element itself.
        content = content.replace(
            b"<StorageClass>%b</StorageClass>" % native.encode(), b"<StorageClass>%b</StorageClass>" % amazon.encode()
        )
    return b'%b?>\n%b xmlns="%b"%b%b' % (declaration, root, NAMESPACE.encode(), bracket, content)


def _access_control_policy(body: bytes) -> bytes:
    """OSS's canned ACL ("<Grant>public-read</Grant>") as the grants that S3 would show."""
    native = fromstring(body)
    owner = native.findtext("Owner/ID") or ""
    name = native.findtext("Owner/DisplayName") or owner
    canned = native.findtext("AccessControlList/Grant") or "private"
    root = Element("AccessControlPolicy", {"xmlns": NAMESPACE, "xmlns:xsi": _XSI})
    _person(SubElement(root, "Owner"), owner, name)
    grants = SubElement(root, "AccessControlList")
    grant = SubElement(grants, "Grant")
    _person(SubElement(grant, "Grantee", {"xsi:type": "CanonicalUser"}), owner, name)
    SubElement(grant, "Permission").text = "FULL_CONTROL"
    for permission in {"public-read": ["READ"], "public-read-write": ["READ", "WRITE"]}.get(canned, []):
        grant = SubElement(grants, "Grant")
        SubElement(SubElement(grant, "Grantee", {"xsi:type": "Group"}), "URI").text = _ALL_USERS
        SubElement(grant, "Permission").text = permission
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _person(parent: Element, id: str, name: str) -> None:
    SubElement(parent, "ID").text = id
    SubElement(parent, "DisplayName").text = name
