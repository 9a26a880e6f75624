"""Buckets: list, create, delete, ACL, versioning, information."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

from osscloud.encryption import default_encryption
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call
from osscloud.operations.config import configured
from osscloud.operations.digest import check_body
from osscloud.operations.metadata import BUCKET_ACLS, STORAGE_CLASSES, invalid
from osscloud.operations.multipart import integer
from osscloud.operations.object import acl_document
from osscloud.storageclass import MIN_BILLED_BYTES
from osscloud.store import ENABLED, SUSPENDED, UNVERSIONED, Bucket, Version
from osscloud.website import refuse_versioning
from osscloud.worm import check_versioning
from osscloud.xml import Document, child_text, iso_date, parse

__all__ = [
    "create_bucket",
    "delete_bucket",
    "describe_regions",
    "get_bucket_acl",
    "get_info",
    "get_location",
    "get_stat",
    "get_versioning",
    "head_bucket",
    "list_buckets",
    "put_bucket_acl",
    "put_versioning",
]

DEFAULT_RESOURCE_GROUP = "rg-default"
"""The group of a bucket that was put into none; real ids are an account's own."""

_REDUNDANCIES = ("LRS", "ZRS")


def _owner(document: Document, owner: str) -> None:
    document.open("Owner")
    document.leaves({"ID": owner, "DisplayName": owner})
    document.close()


def list_buckets(call: Call) -> Response:
    """GET / of the service: the buckets of the caller's account."""
    prefix, marker = call.params.get("prefix", ""), call.params.get("marker", "")
    limit = integer(call, "max-keys", 100, 1, 1000)
    with call.store.lock:
        mine = [b for b in call.store.buckets.values() if b.owner == call.identity.account]
    found = [b for b in mine if b.name.startswith(prefix) and b.name > marker]
    page = found[:limit]
    document = Document("ListAllMyBucketsResult")
    if call.params.keys() & {"prefix", "marker", "max-keys"} or len(found) > limit:
        document.leaves({"Prefix": prefix, "Marker": marker, "MaxKeys": limit})
        document.leaf("IsTruncated", "true" if len(found) > limit else "false")
        if len(found) > limit:
            document.leaf("NextMarker", page[-1].name)
    _owner(document, call.identity.account)
    document.open("Buckets")
    for bucket in page:
        document.open("Bucket")
        _describe(call, document, bucket)
        document.close()
    call.scanned, call.returned = len(mine), len(page)
    return Response(200, {}, document.bytes())


def describe_regions(call: Call) -> Response:
    """GET /?regions[=oss-REGION]: the configured regions, of which this cloud is one. Raises OssError InvalidArgument
    for another."""
    known = {f"oss-{region}": region for region in dict.fromkeys((call.config.region, *call.config.regions))}
    wanted = call.params.get("regions", "")
    if wanted and wanted not in known:
        raise invalid("regions", wanted)
    document = Document("RegionInfoList")
    for name, region in known.items():
        if wanted in ("", name):
            here = region == call.config.region
            document.open("RegionInfo")
            document.leaves(
                {
                    "Region": name,
                    "InternetEndpoint": call.config.endpoint if here else f"{name}.aliyuncs.com",
                    "InternalEndpoint": call.config.endpoint if here else f"{name}-internal.aliyuncs.com",
                    "AccelerateEndpoint": "oss-accelerate.aliyuncs.com",
                }
            )
            document.close()
    return Response(200, {}, document.bytes())


def _describe(call: Call, document: Document, bucket: Bucket) -> None:
    document.leaves(
        {
            "CreationDate": iso_date(bucket.created),
            "ExtranetEndpoint": call.config.endpoint,
            "IntranetEndpoint": call.config.endpoint,
            "Location": f"oss-{call.config.region}",
            "Name": bucket.name,
            "Region": call.config.region,
            "StorageClass": bucket.storage_class,
        }
    )


def _bucket_acl(call: Call, default: str) -> str:
    value = call.headers.get("x-oss-acl")
    if value is None:
        return default
    if value not in BUCKET_ACLS:
        raise invalid("x-oss-acl", value, "no such bucket access control exists")
    return value


def create_bucket(call: Call) -> Response:
    """PUT /. The owner may repeat it with the same settings; anything else meets BucketAlreadyExists."""
    if call.headers.get("x-oss-hns-status", "").lower() == "enabled":
        raise OssError("NotImplemented", extras={"Header": "x-oss-hns-status"})
    acl = _bucket_acl(call, "")
    storage, redundancy = "Standard", "LRS"
    if len(call.request.body):
        root = parse(call.request.body, "CreateBucketConfiguration")
        storage = child_text(root, "StorageClass") or storage
        redundancy = child_text(root, "DataRedundancyType") or redundancy
        if storage not in STORAGE_CLASSES or redundancy not in _REDUNDANCIES:
            raise OssError("MalformedXML")
    owner = call.identity.account
    with call.store.lock:
        buckets = call.store.buckets
        existing = buckets.get(call.bucket_name)
        if existing is not None:
            same = (existing.owner, existing.storage_class, existing.redundancy) == (owner, storage, redundancy)
            if not same:
                raise OssError("BucketAlreadyExists", extras={"BucketName": call.bucket_name})
            if acl:
                existing.acl = acl
                existing.changed()
        else:
            if sum(b.owner == owner for b in buckets.values()) >= call.config.max_buckets:
                raise OssError("TooManyBuckets")
            bucket = Bucket(
                call.bucket_name,
                owner=owner,
                created=call.now,
                acl=acl or "private",
                storage_class=storage,
                redundancy=redundancy,
            )
            group = call.headers.get("x-oss-resource-group-id", "")
            if group:
                bucket.configs["resourceGroup"] = resource_group_document(group)
            call.store.add(bucket)
    return Response(200, {"Location": f"/{call.bucket_name}"})


def resource_group_document(group: str) -> bytes:
    """BucketResourceGroupConfiguration of a bucket in that group."""
    document = Document("BucketResourceGroupConfiguration")
    document.leaf("ResourceGroupId", group)
    return document.bytes()


def delete_bucket(call: Call) -> Response:
    """DELETE /. Objects, older versions, delete markers and unfinished uploads all keep it."""
    with call.store.lock:
        bucket = call.current_bucket()
        if len(bucket):
            raise OssError("BucketNotEmpty", extras={"BucketName": bucket.name})
        call.store.remove(bucket)
    return Response(204)


def head_bucket(call: Call) -> Response:
    """HEAD /: S3's way to ask whether a bucket is there."""
    return Response(200, {"x-oss-bucket-region": call.config.region})


def get_info(call: Call) -> Response:
    """GET /?bucketInfo."""
    bucket = call.bucket
    document = Document("BucketInfo")
    document.open("Bucket")
    document.leaf("AccessMonitor", _text(bucket, "accessmonitor", "Status") or "Disabled")
    replicated = any(param.startswith("replication/") for param in bucket.configs)
    document.leaf("CrossRegionReplication", "Enabled" if replicated else "Disabled")
    document.leaf("DataRedundancyType", bucket.redundancy)
    _describe(call, document, bucket)
    accelerated = _text(bucket, "transferAcceleration", "Enabled") == "true"
    document.leaf("TransferAcceleration", "Enabled" if accelerated else "Disabled")
    document.leaf("BlockPublicAccess", _text(bucket, "publicAccessBlock", "BlockPublicAccess") or "false")
    document.leaf("ResourceGroupId", _text(bucket, "resourceGroup", "ResourceGroupId") or DEFAULT_RESOURCE_GROUP)
    if bucket.versioning != UNVERSIONED:
        document.leaf("Versioning", bucket.versioning)
    _owner(document, bucket.owner)
    document.open("AccessControlList")
    document.leaf("Grant", bucket.acl)
    document.close()
    document.open("ServerSideEncryptionRule")
    rule = default_encryption(bucket)
    document.leaf("SSEAlgorithm", "None" if rule is None else rule.algorithm)
    if rule is not None and rule.key_id:
        document.leaf("KMSMasterKeyID", rule.key_id)
    if rule is not None and rule.data_encryption:
        document.leaf("KMSDataEncryption", rule.data_encryption)
    document.close()
    document.open("BucketPolicy")
    document.leaf("LogBucket", _text(bucket, "logging", "LoggingEnabled/TargetBucket"))
    document.leaf("LogPrefix", _text(bucket, "logging", "LoggingEnabled/TargetPrefix"))
    return Response(200, {}, document.bytes())


def _root(kept: bytes) -> Element:
    return parse(kept, "")


def _text(bucket: Bucket, param: str, path: str) -> str:
    """The text of an element of a configuration, "" when there is none."""
    found = configured(bucket, param, _root)
    return "" if found is None else found.findtext(path) or ""


def _all_versions(bucket: Bucket) -> list[Version]:
    versions: list[Version] = []
    for keys in (bucket.objects, bucket.buried):
        for newest in keys.values():
            version: Version | None = newest
            while version is not None:
                versions.append(version)
                version = version.older
    return versions


def get_stat(call: Call) -> Response:
    """GET /?stat. XStorage is what is billed, XRealStorage what there is. Older versions count like objects; the one
    operation that walks the whole bucket."""
    bucket = call.bucket
    with call.store.lock:
        versions = _all_versions(bucket)
        uploads = list(bucket.uploads.values())
    sizes: Counter[str] = Counter()
    billed: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    markers = 0
    for version in versions:
        if version.is_marker:
            markers += 1
        else:
            sizes[version.storage_class] += version.size
            least = 0 if version.storage_class == "Standard" else MIN_BILLED_BYTES
            billed[version.storage_class] += max(version.size, least)
            counts[version.storage_class] += 1
    parts = [part for upload in uploads for part in list(upload.parts.values())]
    document = Document("BucketStat")
    document.leaf("Storage", sum(sizes.values()) + sum(len(part.content) for part in parts))
    document.leaf("ObjectCount", sum(counts.values()))
    document.leaves({"MultipartUploadCount": len(uploads), "LiveChannelCount": 0, "LastModifiedTime": call.now})
    for storage_class in STORAGE_CLASSES:
        name = "InfrequentAccess" if storage_class == "IA" else storage_class
        document.leaf(f"{name}Storage", billed[storage_class])
        if name != "Standard":
            document.leaf(f"{name}RealStorage", sizes[storage_class])
        document.leaf(f"{name}ObjectCount", counts[storage_class])
    document.leaves({"MultipartPartCount": len(parts), "DeleteMarkerCount": markers})
    call.scanned = len(versions)
    return Response(200, {}, document.bytes())


def get_location(call: Call) -> Response:
    """GET /?location: one element with text."""
    return Response(200, {}, Document.single("LocationConstraint", f"oss-{call.config.region}"))


def get_bucket_acl(call: Call) -> Response:
    """GET /?acl."""
    return acl_document(call.bucket, call.bucket.acl)


def put_bucket_acl(call: Call) -> Response:
    """PUT /?acl with x-oss-acl."""
    acl = _bucket_acl(call, "")
    if not acl:
        raise invalid("x-oss-acl", "", "no such bucket access control exists")
    with call.store.lock:
        bucket = call.current_bucket()
        bucket.acl = acl
        bucket.changed()
    return Response(200)


def get_versioning(call: Call) -> Response:
    """GET /?versioning: no Status on a bucket that never had any."""
    document = Document("VersioningConfiguration")
    if call.bucket.versioning != UNVERSIONED:
        document.leaf("Status", call.bucket.versioning)
    return Response(200, {}, document.bytes())


def put_versioning(call: Call) -> Response:
    """PUT /?versioning. Raises OssError MalformedXML for any Status but Enabled and Suspended."""
    body = bytes(call.request.body)
    check_body(call, body)
    status = child_text(parse(body, "VersioningConfiguration"), "Status")
    with call.store.lock:
        bucket = call.current_bucket()
        if bucket.configs:
            refuse_versioning(call)
            check_versioning(call, bucket, status or "")
        if status == ENABLED:
            bucket.versioning = ENABLED
        elif status == SUSPENDED:
            bucket.versioning = SUSPENDED
        else:
            raise OssError("MalformedXML")
        bucket.changed()
    return Response(200)
