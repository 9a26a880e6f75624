"""Multipart uploads: initiate, parts, part copies, complete, abort, and the two listings."""

from __future__ import annotations

from hashlib import md5

from osscloud.blob import Content, combine_crc64, crc64_of, cut, etag_of, join
from osscloud.encryption import encryption_headers
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.copy import read_source, result
from osscloud.operations.metadata import (
    check_overwrite,
    forbids_overwrite,
    invalid,
    object_acl,
    object_headers,
    refuse_extras,
    request_tags,
    storage_class,
)
from osscloud.operations.object import check_body, publish
from osscloud.operations.selection import NotModified, parse_range, version_headers
from osscloud.store import UNVERSIONED, Part, Upload, Version
from osscloud.xml import Document, Row, child_text, children, iso_date, parse

__all__ = [
    "abort_upload",
    "complete_upload",
    "initiate_upload",
    "list_parts",
    "upload_part",
    "upload_part_copy",
]

MIN_PART_BYTES = 102_400
MAX_PART_BYTES = 5 * 1024**3
MAX_PART_NUMBER = 10_000

_PART = Row("Part", "PartNumber", "LastModified", "ETag", "HashCrc64ecma", "Size")


def integer(call: Call, name: str, default: int, low: int, high: int) -> int:
    """A numeric parameter. Raises OssError InvalidArgument when it is no number or outside low..high."""
    text = call.params.get(name)
    if not text:
        return default
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1
    if not low <= value <= high:
        raise invalid(name, text, f"Argument {name} must be an integer between {low} and {high}.")
    return value


def encoding(call: Call) -> bool:
    """True for encoding-type=url. Raises OssError InvalidArgument for any other encoding."""
    value = call.params.get("encoding-type", "")
    if value not in ("", "url"):
        raise invalid("encoding-type", value, "Invalid Encoding Method specified in Request")
    return value == "url"


def _upload(call: Call) -> Upload:
    """The upload of the call. Raises OssError NoSuchUpload."""
    upload_id = call.params.get("uploadId", "")
    upload = call.current_bucket().uploads.get((call.key, upload_id))
    if upload is None:
        raise OssError("NoSuchUpload", extras={"UploadId": upload_id})
    return upload


def initiate_upload(call: Call) -> Response:
    """POST /key?uploads. The headers here are those of the object to be."""
    url_encoded = encoding(call)
    upload = Upload(
        key=call.key,
        id=call.ids.upload_id(),
        initiated=call.now,
        headers=object_headers(call),
        storage_class=storage_class(call.headers, call.bucket.storage_class),
        acl=object_acl(call.headers),
        tags=request_tags(call),
        forbid_overwrite=forbids_overwrite(call.headers),
    )
    with call.store.lock:
        bucket = call.current_bucket()
        check_overwrite(call, bucket, forbidden=upload.forbid_overwrite)
        bucket.add_upload(upload)
    document = Document("InitiateMultipartUploadResult", url_encoded=url_encoded)
    if url_encoded:
        document.leaf("EncodingType", "url")
    document.leaf("Bucket", call.bucket_name)
    document.key("Key", upload.key)
    document.leaf("UploadId", upload.id)
    return Response(200, encryption_headers(upload.headers), document.bytes())


def _part_number(call: Call) -> int:
    text = call.params.get("partNumber", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and 1 <= int(text) <= MAX_PART_NUMBER):
        raise invalid("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
    return int(text)


def _store_part(call: Call, number: int, content: Content, etag: str, crc: int) -> None:
    part = Part(number, content, etag, crc, call.now)
    with call.store.lock:
        upload = _upload(call)
        old = upload.parts.get(number)
        call.bucket.add_part(upload, part)
    call.object_size = len(content)
    call.delta_data_size = len(content) - (0 if old is None else len(old.content))


def upload_part(call: Call) -> Response:
    """PUT /key?partNumber=&uploadId=. A part sent again replaces the one before."""
    number = _part_number(call)
    with call.store.lock:
        _upload(call)
    if len(call.request.body) > MAX_PART_BYTES:
        raise OssError("EntityTooLarge", extras={"MaxSizeAllowed": str(MAX_PART_BYTES)})
    body = bytes(call.request.body)
    etag, crc = check_body(call, body)
    _store_part(call, number, call.store.keep(body), etag, crc)
    return Response(200, {"ETag": etag, "x-oss-hash-crc64ecma": str(crc)})


def upload_part_copy(call: Call) -> Response:
    """PUT /key?partNumber=&uploadId= with x-oss-copy-source and perhaps a range of it; a bad range copies all."""
    number = _part_number(call)
    with call.store.lock:
        _upload(call)
    try:
        source = read_source(call)
    except NotModified:
        return Response(304)
    old = source.version
    bounds = parse_range(call.headers.get("x-oss-copy-source-range", ""), old.size, standard=False)
    if bounds is None:
        content, crc = old.content, old.crc64
    else:
        piece = cut(old.content, *bounds)
        content = bytes(piece) if isinstance(piece, memoryview) else piece
        crc = crc64_of(content)
    etag = etag_of(content)
    _store_part(call, number, content, etag, crc)
    headers = {"ETag": etag, "x-oss-hash-crc64ecma": str(crc)}
    if source.bucket.versioning != UNVERSIONED:
        headers["x-oss-copy-source-version-id"] = old.version_id
    return Response(200, headers, result("CopyPartResult", etag, call.now))


def _listed_parts(call: Call, upload: Upload) -> list[Part]:
    """The parts that the body of Complete names. Raises OssError MalformedXML, InvalidPartOrder, InvalidPart."""
    try:
        root = parse(call.request.body, "CompleteMultipartUpload")
    except OssError as error:
        raise OssError("MalformedXML", ec="0042-00000205", extras=error.extras) from error
    listed: list[Part] = []
    last = 0
    for element in children(root, "Part"):
        text = (child_text(element, "PartNumber") or "").strip()
        etag = (child_text(element, "ETag") or "").strip().strip('"').upper()
        if not (text.isascii() and text.isdecimal() and len(text) < 19 and etag):
            raise OssError("MalformedXML", ec="0042-00000205")
        number = int(text)
        if number <= last:
            raise OssError("InvalidPartOrder", extras={"UploadId": upload.id})
        last = number
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag:
            raise OssError("InvalidPart", extras={"UploadId": upload.id, "PartNumber": text, "ETag": etag})
        listed.append(part)
    if not listed:
        raise OssError("MalformedXML", ec="0042-00000205")
    return listed


def _all_parts(call: Call, upload: Upload) -> list[Part]:
    if len(call.request.body):
        raise OssError(
            "InvalidArgument",
            "Should not specify both complete all header and http body.",
            ec="0042-00000216",
        )
    if not upload.parts:
        raise OssError("InvalidPart", extras={"UploadId": upload.id})
    return [part for _, part in sorted(upload.parts.items())]


def complete_upload(call: Call) -> Response:
    """POST /key?uploadId=. Content stays in parts; the CRC is combined from theirs."""
    url_encoded = encoding(call)
    refuse_extras(call)
    with call.store.lock:
        upload = _upload(call)
    everything = call.headers.get("x-oss-complete-all", "").lower() == "yes"
    parts = _all_parts(call, upload) if everything else _listed_parts(call, upload)
    _check_sizes(parts)
    version = _assemble(call, upload, parts)
    with call.store.lock:
        _upload(call)  # another request may have completed or aborted it meanwhile
        publish(call, version, forbid_overwrite=upload.forbid_overwrite or forbids_overwrite(call.headers))
        bucket = call.bucket
        bucket.remove_upload(upload)
    document = Document("CompleteMultipartUploadResult", url_encoded=url_encoded)
    if url_encoded:
        document.leaf("EncodingType", "url")
    host = call.headers.get("host", call.config.endpoint)
    document.leaf("Location", f"http://{host}/{document.encode(call.key)}")
    document.leaf("Bucket", bucket.name)
    document.key("Key", call.key)
    document.leaf("ETag", version.etag)
    headers = {
        "ETag": version.etag,
        "x-oss-hash-crc64ecma": str(version.crc64),
        **version_headers(bucket, version),
        **encryption_headers(version.headers),
    }
    return Response(200, headers, document.bytes())


def _check_sizes(parts: list[Part]) -> None:
    for part in parts[:-1]:
        if len(part.content) < MIN_PART_BYTES:
            raise OssError(
                "EntityTooSmall",
                extras={
                    "MinSizeAllowed": str(MIN_PART_BYTES),
                    "ProposedSize": str(len(part.content)),
                    "PartNumber": str(part.number),
                },
            )


def _assemble(call: Call, upload: Upload, parts: list[Part]) -> Version:
    digest = md5("".join(part.etag for part in parts).encode(), usedforsecurity=False).hexdigest().upper()
    crc = parts[0].crc64
    for part in parts[1:]:
        crc = combine_crc64(crc, part.crc64, len(part.content))
    return Version(
        upload.key,
        type="Multipart",
        modified=call.now,
        content=join([part.content for part in parts]),
        etag=f'"{digest}-{len(parts)}"',
        crc64=crc,
        headers=upload.headers,
        storage_class=upload.storage_class,
        acl=upload.acl,
        tags=upload.tags,
    )


def abort_upload(call: Call) -> Response:
    """DELETE /key?uploadId=."""
    with call.store.lock:
        upload = _upload(call)
        call.bucket.remove_upload(upload)
    return Response(204)


def list_parts(call: Call) -> Response:
    """GET /key?uploadId=."""
    limit = integer(call, "max-parts", 1000, 1, 1000)
    marker = integer(call, "part-number-marker", 0, 0, 2**31)
    url_encoded = encoding(call)
    with call.store.lock:
        upload = _upload(call)
        numbers = [number for number in sorted(upload.parts) if number > marker]
        page = [upload.parts[number] for number in numbers[:limit]]
    document = Document("ListPartsResult", url_encoded=url_encoded)
    if url_encoded:
        document.leaf("EncodingType", "url")
    document.leaf("Bucket", call.bucket_name)
    document.key("Key", call.key)
    document.leaf("UploadId", upload.id)
    document.leaf("StorageClass", upload.storage_class)
    document.leaf("PartNumberMarker", marker)
    document.leaf("NextPartNumberMarker", page[-1].number if page else 0)
    document.leaf("MaxParts", limit)
    document.leaf("IsTruncated", "true" if len(numbers) > limit else "false")
    document.rows([_PART.text(p.number, iso_date(p.modified), p.etag, str(p.crc64), len(p.content)) for p in page])
    call.scanned = call.returned = len(page)
    return Response(200, {}, document.bytes())
