"""Which operation a request asks for: by method, by what it addresses and by its sub-resource.

Tables only, read by any thread. What OSS has and this cloud has not is listed too, and answers NotImplemented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from osscloud import cors, storageclass, worm
from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations import (
    append,
    bucket,
    copy,
    delete,
    entries,
    listing,
    multipart,
    object,
    policy,
    postobject,
    symlink,
    tagging,
)
from osscloud.operations.call import Call, Grant, Operation
from osscloud.operations.configurations import CONFIGURATIONS
from osscloud.xml import Document

__all__ = ["operation_names", "route"]

_Table = dict[str, Operation]


def _not_implemented(name: str, action: str, *, needs_bucket: bool = True, here: bool = True) -> Operation:
    """here: it would be this resource's; else what is wrong is the address."""
    what = "is not implemented by this service" if here else "is no operation of the resource that is addressed"

    def refuse(call: Call) -> Response:
        raise OssError("NotImplemented", f"{name} {what}.")

    return Operation(name, action, refuse, needs_bucket=needs_bucket)


def _live_channels(call: Call) -> Response:
    document = Document("ListLiveChannelResult")
    document.leaves(
        {
            "Prefix": call.params.get("prefix", ""),
            "Marker": call.params.get("marker", ""),
            "MaxKeys": call.params.get("max-keys", "") or "100",
            "IsTruncated": "false",
        }
    )
    return Response(200, {}, document.bytes())


# What the access log calls the bucket sub-resources for the methods that have no operation here; those of
# `configurations` and `entries` join them. Without a row DELETE /?stat would delete the bucket.
_MISSING = {
    "accessPoint": "AccessPoint",
    "accessPointPolicy": "AccessPointPolicy",
    "acl": "BucketAcl",
    "asyncFetch": "AsyncFetch",
    "bucketInfo": "BucketInfo",
    "callback-policy": "BucketCallbackPolicy",
    "dataPipeline": "DataPipeline",
    "delete": "Objects",
    "live": "LiveChannel",
    "location": "BucketLocation",
    "metaQuery": "MetaQuery",
    "objectWorm": "BucketObjectWormConfiguration",
    "overwriteConfig": "BucketOverwriteConfig",
    "policyStatus": "BucketPolicyStatus",
    "quota": "BucketStorageQuota",
    "redundancyTransition": "BucketDataRedundancyTransition",
    "requesterQosInfo": "BucketRequesterQosInfo",
    "resourcePool": "BucketResourcePool",
    "stat": "BucketStat",
    "uploads": "MultipartUploads",
    "versioning": "BucketVersioning",
    "versions": "ObjectVersions",
    "vod": "Vod",
    "worm": "BucketWorm",
    "wormExtend": "BucketWorm",
    "wormId": "BucketWorm",
    "x-oss-write-get-object-response": "ObjectResponse",
}

_OBJECT_EXTRAS = {
    "acl": "ObjectAcl",
    "append": "AppendObject",
    "objectInfo": "ObjectInfo",
    "objectMeta": "ObjectMeta",
    "symlink": "ObjectSymlink",
    "tagging": "ObjectTagging",
    "uploadId": "MultipartUpload",
    "uploads": "InitiateMultipartUpload",
    "restore": "RestoreObject",
    "cleanRestoredObject": "CleanRestoredObject",
    "retention": "ObjectRetention",
    "legalHold": "ObjectLegalHold",
    "live": "LiveChannel",
    "vod": "Vod",
    "seal": "SealAppendObject",
    "asyncFetch": "AsyncFetch",
    "x-oss-delete": "DeleteDirectory",
    "x-oss-dir": "CreateDirectory",
    "x-oss-rename": "Rename",
    "x-oss-select": "SelectObject",
    "x-oss-process": "ProcessObject",
    "x-oss-async-process": "AsyncProcessObject",
    "img": "ProcessObject",
}

# Sub-resources that are something at another place only. GET and HEAD of an object take any parameter: pages have
# parameters of their own.
_CHANGING = frozenset({"PUT", "POST", "DELETE"})

# What S3 has and OSS does not offer on its S3-compatible face, or has in another shape of its own.
_S3_BUCKET = {
    "accelerate": "BucketAccelerate",
    "analytics": "BucketAnalytics",
    "encryption": "BucketEncryption",
    "intelligent-tiering": "BucketIntelligentTiering",
    "inventory": "BucketInventory",
    "metadataConfiguration": "BucketMetadata",
    "metadataTable": "BucketMetadata",
    "metrics": "BucketMetrics",
    "notification": "BucketNotification",
    "object-lock": "ObjectLock",
    "ownershipControls": "BucketOwnershipControls",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "BucketReplication",
}
_S3_OBJECT = {
    "attributes": "ObjectAttributes",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "select": "SelectObject",
    "torrent": "ObjectTorrent",
}

_SERVICE_EXTRAS = {
    "accessPoint": "AccessPoint",
    "cloudboxes": "CloudBoxes",
    "publicAccessBlock": "PublicAccessBlock",
    "qosInfo": "UserQosInfo",
    "redundancyTransition": "UserDataRedundancyTransition",
    "regions": "Regions",
    "requesterQosInfo": "RequesterQosInfo",
    "resourcePool": "ResourcePool",
}

_VERBS = {"GET": "Get", "PUT": "Put", "POST": "Post", "DELETE": "Delete", "HEAD": "Head"}


def _op(
    name: str,
    run: Callable[[Call], Response],
    action: str = "",
    *,
    grant: Grant = "",
    versioned: bool = False,
    needs_bucket: bool = True,
) -> Operation:
    """action defaults to the name; versioned: its policy action is another one when the request has a versionId."""
    action = action or name
    version_action = ""
    if versioned:
        version_action = "oss:" + action.replace("Object", "ObjectVersion", 1)
    return Operation(name, f"oss:{action}", run, grant, version_action, needs_bucket)


_LIST_BUCKETS = _op("GetService", bucket.list_buckets, "ListBuckets", needs_bucket=False)
_PUT_BUCKET = _op("PutBucket", bucket.create_bucket, needs_bucket=False)
_GET_BUCKET = _op("GetBucket", listing.list_objects, "ListObjects")
_GET_OBJECT = _op("GetObject", object.get_object, grant="read", versioned=True)
_HEAD_OBJECT = _op("HeadObject", object.get_object, "GetObject", grant="read", versioned=True)
_PUT_OBJECT = _op("PutObject", object.put_object, grant="write")
_COPY_OBJECT = _op("CopyObject", copy.copy_object, "PutObject", grant="write")
_PART_COPY = _op("UploadPartCopy", multipart.upload_part_copy, "PutObject", grant="write")

# (method) -> sub-resource -> operation; "" is the operation without any sub-resource.
_BUCKET: dict[str, _Table] = {
    "GET": {
        "acl": _op("GetBucketAcl", bucket.get_bucket_acl),
        "bucketInfo": _op("GetBucketInfo", bucket.get_info),
        "live": _op("ListLiveChannel", _live_channels),
        "location": _op("GetBucketLocation", bucket.get_location),
        "stat": _op("GetBucketStat", bucket.get_stat),
        "uploads": _op("ListMultipartUploads", listing.list_uploads),
        "versioning": _op("GetBucketVersioning", bucket.get_versioning),
        "versions": _op("ListObjectVersions", listing.list_versions),
        "policyStatus": _op("GetBucketPolicyStatus", policy.get_policy_status),
        "worm": _op("GetBucketWorm", worm.get_worm),
        "": _GET_BUCKET,
    },
    "HEAD": {"": _op("HeadBucket", bucket.head_bucket, "GetBucketInfo")},
    "PUT": {
        "acl": _op("PutBucketAcl", bucket.put_bucket_acl),
        "versioning": _op("PutBucketVersioning", bucket.put_versioning),
        "": _PUT_BUCKET,
    },
    "POST": {
        "delete": Operation("DeleteObjects", "", delete.delete_multiple),
        "worm": _op("InitiateBucketWorm", worm.initiate_worm),
        "wormId": _op("CompleteBucketWorm", worm.complete_or_extend_worm),
        "wormExtend": _op("ExtendBucketWorm", worm.complete_or_extend_worm),
        "": Operation("PostObject", "", postobject.post_object),
    },
    "DELETE": {"worm": _op("AbortBucketWorm", worm.abort_worm), "": _op("DeleteBucket", bucket.delete_bucket)},
    "OPTIONS": {"": Operation("OptionObject", "", cors.preflight)},
}

_OBJECT: dict[str, _Table] = {
    "GET": {
        "acl": _op("GetObjectAcl", object.get_object_acl, versioned=True),
        "symlink": _op("GetObjectSymlink", symlink.get_symlink, "GetObject", grant="read", versioned=True),
        "tagging": _op("GetObjectTagging", tagging.get_tagging, versioned=True),
        "uploadId": _op("ListParts", multipart.list_parts),
        "": _GET_OBJECT,
    },
    "HEAD": {
        "objectMeta": _op("GetObjectMeta", object.get_object_meta, "GetObject", grant="read", versioned=True),
        "": _HEAD_OBJECT,
    },
    "PUT": {
        "acl": _op("PutObjectAcl", object.put_object_acl, versioned=True),
        "symlink": _op("PutObjectSymlink", symlink.put_symlink, "PutObject", grant="write"),
        "tagging": _op("PutObjectTagging", tagging.put_tagging, versioned=True),
        "uploadId": _op("UploadPart", multipart.upload_part, "PutObject", grant="write"),
        "partNumber": _op("UploadPart", multipart.upload_part, "PutObject", grant="write"),
        "": _PUT_OBJECT,
    },
    "POST": {
        "cleanRestoredObject": _op("CleanRestoredObject", storageclass.clean_restored_object),
        "restore": _op("RestoreObject", storageclass.restore_object, versioned=True),
        "append": _op("AppendObject", append.append_object, "PutObject", grant="write"),
        "uploads": _op("InitiateMultipartUpload", multipart.initiate_upload, "PutObject", grant="write"),
        "uploadId": _op("CompleteUpload", multipart.complete_upload, "PutObject", grant="write"),
        "": _not_implemented("PostObject", "oss:PutObject"),
    },
    "DELETE": {
        "tagging": _op("DeleteObjectTagging", tagging.delete_tagging, versioned=True),
        "uploadId": _op("AbortMultipartUpload", multipart.abort_upload),
        "": _op("DeleteObject", delete.delete_object, grant="write", versioned=True),
    },
    "OPTIONS": {"": Operation("OptionObject", "", cors.preflight)},
}

_SERVICE: dict[str, _Table] = {
    "GET": {"regions": _op("DescribeRegions", bucket.describe_regions, needs_bucket=False), "": _LIST_BUCKETS},
}

# What x-oss-process asks for, by the beginning of its value.
_PROCESSING = {
    "csv": _not_implemented("SelectObject", "oss:GetObject"),
    "json": _not_implemented("SelectObject", "oss:GetObject"),
    "image": _not_implemented("ProcessImage", "oss:ProcessImm"),
    "style": _not_implemented("ProcessImage", "oss:ProcessImm"),
}

_COPYING = {"PutObject": _COPY_OBJECT, "UploadPart": _PART_COPY}


def _complete_tables() -> None:
    names = dict(_MISSING)
    for row in CONFIGURATIONS:
        names[row.param] = row.name
        for method, operation in row.operations():
            _BUCKET[method][row.param] = operation
    for method, param, operation in entries.operations():
        names.setdefault(param.partition("?")[0], operation.name.removeprefix("Put").removeprefix("Get"))
        _BUCKET[method][param] = operation
    for method, verb in _VERBS.items():
        for param, name in names.items():
            _BUCKET[method].setdefault(param, _not_implemented(verb + name, f"oss:{verb}{name}"))
        for param, name in _OBJECT_EXTRAS.items():
            _OBJECT[method].setdefault(param, _not_implemented(name, f"oss:{name}"))
        for param, name in _SERVICE_EXTRAS.items():
            operation = _not_implemented(verb + name, f"oss:{verb}{name}", needs_bucket=False)
            _SERVICE.setdefault(method, {}).setdefault(param, operation)
    for method, verb in _VERBS.items():
        _misplace(_SERVICE.setdefault(method, {}), verb, names | _OBJECT_EXTRAS, needs_bucket=False)
        _misplace(_BUCKET[method], verb, _OBJECT_EXTRAS | _SERVICE_EXTRAS)
        if method in _CHANGING:
            _misplace(_OBJECT[method], verb, names | _SERVICE_EXTRAS)


def _misplace(table: _Table, verb: str, names: Mapping[str, str], *, needs_bucket: bool = True) -> None:
    """Sub-resources that mean nothing where the table is for: DELETE /key?lifecycle must not delete the object."""
    for param, name in names.items():
        if "?" not in param:
            refused = verb + name.removeprefix(verb)
            table.setdefault(param, _not_implemented(refused, f"oss:{refused}", needs_bucket=needs_bucket, here=False))


_complete_tables()


def _by_parameter(table: _Table, params: Mapping[str, str]) -> Operation | None:
    """The operation of the first sub-resource; "cname" with comp=add is "cname?comp=add" where there is such."""
    if "wormExtend" in params and "wormExtend" in table:
        return table["wormExtend"]
    if "x-oss-process" in params and table.get("x-oss-process"):
        return _PROCESSING.get(params["x-oss-process"].partition("/")[0], table.get("x-oss-process"))
    suffix = f"?comp={params['comp']}" if "comp" in params else ""
    for param in params:
        if param:
            operation = (table.get(param + suffix) if suffix else None) or table.get(param)
            if operation is not None:
                return operation
    return None


def route(
    method: str, bucket_name: str, key: str, params: Mapping[str, str], *, copies: bool = False, s3: bool = False
) -> Operation:
    """The operation of a request. copies: it has x-oss-copy-source. s3: it speaks S3. Never fails: what the resource
    has no operation for becomes one that answers MethodNotAllowed or NotImplemented."""
    tables = _OBJECT if key else _BUCKET if bucket_name else _SERVICE
    table = tables.get(method)
    if table is None:
        return _NOT_ALLOWED
    if s3 and params and bucket_name:
        for param, name in (_S3_OBJECT if key else _S3_BUCKET).items():
            if param in params:
                return _not_implemented(_VERBS.get(method, "") + name, "")
    operation = None
    if params:
        operation = _by_parameter(table, params)
    if operation is None:
        operation = table.get("", _NOT_ALLOWED)
    if copies:
        operation = _COPYING.get(operation.name, operation)
    return operation


def operation_names() -> frozenset[str]:
    """Every operation as the access log calls it."""
    tables = (*_SERVICE.values(), *_BUCKET.values(), *_OBJECT.values(), _PROCESSING)
    names = {operation.name for table in tables for operation in table.values()}
    return frozenset(names | {operation.name for operation in _COPYING.values()})


def _refuse_method(call: Call) -> Response:
    kind = "Object" if call.key else "Bucket" if call.bucket_name else "Service"
    raise OssError("MethodNotAllowed", extras={"Method": call.method, "ResourceType": kind})


_NOT_ALLOWED = Operation("-", "oss:Unknown", _refuse_method, needs_bucket=False)
