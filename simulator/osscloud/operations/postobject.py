"""PostObject: an upload from a web form, with the signature, the policy and the headers in form fields.

Vendor documentation, "PostObject" and its appendix on policies; message texts from "How to handle common errors when
the PostObject operation is called". Functions of a call, run by the thread that handles the request.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from osscloud.blob import content_md5
from osscloud.encryption import encryption_headers
from osscloud.errors import OssError
from osscloud.message import Response, as_header
from osscloud.operations.call import Call
from osscloud.operations.digest import check_body
from osscloud.operations.metadata import (
    forbids_overwrite,
    invalid,
    object_acl,
    object_headers,
    refuse_extras,
    request_tags,
    storage_class,
)
from osscloud.operations.object import MAX_PUT_BYTES, publish
from osscloud.operations.selection import check_object_name, version_headers
from osscloud.s3 import form_headers
from osscloud.store import Version
from osscloud.xml import Document, parse_iso_date

__all__ = ["post_object"]

_MAX_FIELDS = 8 * 1024 * 1024
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_PARAMETER = re.compile(rb';\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Form:
    """fields: lower-case names, decoded; filename, file_type: as the file's part says."""

    fields: dict[str, str]
    filename: str
    file_type: str
    body: bytes


def _malformed() -> OssError:
    return OssError("MalformedPOSTRequest")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _read_form(call: Call) -> _Form:
    """Raises OssError MalformedPOSTRequest, IncorrectNumberOfFilesInPOSTRequest."""
    content_type = call.headers.get("content-type", "")
    found = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or found is None:
        raise _malformed()
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1")
    body = bytes(call.request.body)
    position = body.find(delimiter)
    fields: dict[str, str] = {}
    while position >= 0:
        position += len(delimiter)
        if body.startswith(b"--", position):
            raise OssError("IncorrectNumberOfFilesInPOSTRequest")
        end_of_head = body.find(b"\r\n\r\n", position)
        if end_of_head < 0 or position > _MAX_FIELDS:
            raise _malformed()
        name, filename, file_type = _part_head(body[position:end_of_head])
        start = end_of_head + 4
        position = body.find(b"\r\n" + delimiter, start)
        if position < 0:
            raise _malformed()
        if name == "file":
            # What follows the file is not looked at.
            return _Form(fields, filename, file_type, body[start:position])
        fields[name] = _text(body[start:position])
        position += 2
    raise _malformed()


def _part_head(head: bytes) -> tuple[str, str, str]:
    """Field name (lower case), file name and type of a part."""
    name = filename = file_type = ""
    for line in head.split(b"\r\n"):
        header, _, value = line.partition(b":")
        lowered = header.strip().lower()
        if lowered == b"content-disposition":
            for which, quoted, plain in _PARAMETER.findall(value):
                given = _text(re.sub(rb"\\(.)", rb"\1", quoted) or plain)
                if which.lower() == b"name":
                    name = given.lower()
                else:
                    filename = given
        elif lowered == b"content-type":
            file_type = value.strip().decode("latin-1")
    if not name:
        raise _malformed()
    return name, filename, file_type


# The policy


def _invalid_policy(detail: str) -> OssError:
    return OssError("InvalidPolicyDocument", f"Invalid Policy: {detail}")


def _check_policy(call: Call, encoded: str, form: _Form, values: Mapping[str, str]) -> None:
    """Raises OssError InvalidPolicyDocument; AccessDenied, EntityTooSmall, EntityTooLarge when the form is not as the
    policy says."""
    try:
        policy = json.loads(b64decode(encoded, validate=True))
    except (ValueError, RecursionError) as error:
        raise _invalid_policy("Invalid JSON.") from error
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise _invalid_policy("Policy must have a list of conditions.")
    expiration = policy.get("expiration")
    moment = parse_iso_date(expiration) if isinstance(expiration, str) else None
    if moment is None:
        raise _invalid_policy("Policy must have a valid expiration.")
    if call.now >= moment:
        raise OssError("AccessDenied", "Invalid according to Policy: Policy expired.")
    if not policy["conditions"]:
        raise _invalid_policy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
    for condition in policy["conditions"]:
        _check_condition(condition, form, values)


def _check_condition(condition: object, form: _Form, values: Mapping[str, str]) -> None:
    match condition:
        case dict() if len(condition) == 1:
            ((name, wanted),) = condition.items()
            holds = isinstance(wanted, str) and values.get(name.lower(), "") == wanted
        case ["content-length-range", int(low), int(high)]:
            if len(form.body) < low:
                raise OssError("EntityTooSmall", extras={"MinSizeAllowed": str(low)})
            if len(form.body) > high:
                raise OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(high)})
            return
        case ["eq", str(name), str(wanted)]:
            holds = _value(name, values) == wanted
        case ["starts-with", str(name), str(wanted)]:
            holds = _value(name, values).startswith(wanted)
        case ["in", str(name), list(listed)]:
            holds = _value(name, values) in listed
        case ["not-in", str(name), list(listed)]:
            holds = _value(name, values) not in listed
        case dict():
            detail = "Simple-Conditions must have exactly one property specified."
            raise _invalid_policy(f"Invalid Simple-Condition: {detail}")
        case _:
            raise _invalid_policy(f"Invalid Condition: {json.dumps(condition)}")
    if not holds:
        message = f"Invalid according to Policy: Policy Condition failed: {json.dumps(condition)}"
        raise OssError("AccessDenied", message)


def _value(name: str, values: Mapping[str, str]) -> str:
    if not name.startswith("$"):
        raise _invalid_policy(f"Invalid Condition: {name} does not begin with $.")
    return values.get(name[1:].lower(), "")


# The operation


def post_object(call: Call) -> Response:
    """POST / with multipart/form-data. 204, or what success_action_status or success_action_redirect asks for."""
    form = _read_form(call)
    fields = form.fields
    if "key" not in fields:
        message = (
            "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields."
        )
        raise invalid("key", "", message)
    call.key = key = fields["key"].replace("${filename}", form.filename)
    check_object_name(key)
    bucket = call.bucket
    call.identity = call.sign_form(fields)
    if not call.identity.anonymous or "policy" in fields:
        _check_policy(call, fields.get("policy", ""), form, fields | {"bucket": bucket.name, "key": key})
    call.authorise("oss:PutObject", bucket, key, "write")
    host = call.headers.get("host", call.config.endpoint)
    file_type = fields.get("x-oss-content-type") or fields.get("content-type") or form.file_type
    call.headers = {**_latin(form_headers(fields)), "content-type": file_type}
    refuse_extras(call)
    if "callback" in fields:
        raise OssError("NotImplemented", "Callbacks are not implemented.", extras={"Header": "callback"})
    if len(form.body) > MAX_PUT_BYTES:
        raise OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(MAX_PUT_BYTES)})
    etag, crc = check_body(call, form.body)
    version = Version(
        key,
        type="Normal",
        modified=call.now,
        content=call.store.keep(form.body),
        etag=etag,
        crc64=crc,
        headers=object_headers(call),
        storage_class=storage_class(call.headers, bucket.storage_class),
        acl=object_acl(call.headers),
        tags=request_tags(call),
    )
    publish(call, version, forbid_overwrite=forbids_overwrite(call.headers))
    headers = {
        "ETag": etag,
        "Content-MD5": content_md5(etag),
        "x-oss-hash-crc64ecma": str(crc),
        **version_headers(bucket, version),
        **encryption_headers(version.headers),
    }
    return _answer(fields, headers, bucket.name, key, f"http://{host}/{quote(key)}")


def _latin(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields as headers: their bytes shown as latin-1."""
    return {
        name: as_header(value)
        for name, value in fields.items()
        if name not in ("policy", "signature", "key", "content-md5")
    }


def _answer(fields: Mapping[str, str], headers: dict[str, str], bucket: str, key: str, location: str) -> Response:
    headers["Location"] = location
    redirect = fields.get("success_action_redirect", "")
    if redirect:
        mark = "&" if "?" in redirect else "?"
        query = urlencode({"bucket": bucket, "key": key, "etag": headers["ETag"]}, errors="surrogateescape")
        headers["Location"] = f"{redirect}{mark}{query}"
        return Response(303, headers)
    status = fields.get("success_action_status", "")
    if status == "200":
        return Response(200, headers)
    if status != "201":
        return Response(204, headers)
    document = Document("PostResponse")
    document.leaves({"Bucket": bucket, "ETag": headers["ETag"], "Key": key, "Location": location})
    return Response(201, headers, document.bytes())
