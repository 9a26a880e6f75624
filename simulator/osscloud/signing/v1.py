"""OSS signature version 1 (HMAC-SHA1): the string to sign and the signature, in a header or in the URL.

Only computes; `verify` decides. Pure functions, any thread. The server's own implementation: clients have theirs, so
that a mistake in one is not hidden by the same mistake in the other.
"""

from __future__ import annotations

import base64
import hmac

from osscloud.addressing import Address
from osscloud.message import Request

__all__ = ["DISPUTED", "SUBRESOURCES", "canonical_resource", "sign", "string_to_sign"]

# Union over the vendor's documentation and SDKs; anything else in a query (prefix, marker, ...) is not signed.
_NAMES = """
    accessPoint accessPointPolicy accessmonitor acl append asyncFetch bucketArchiveDirectRead bucketInfo callback
    callback-policy callback-var cleanRestoredObject cloudboxes cname comp continuation-token cors delete encryption
    endTime group httpsConfig img inventory inventoryId lifecycle link live location logging metaQuery objectInfo
    objectMeta partNumber policy policyStatus position publicAccessBlock qos qosInfo qosRequester redundancyTransition
    referer regionList regions replication replicationLocation replicationProgress requestPayment requesterQosInfo
    resourceGroup resourcePool resourcePoolBuckets resourcePoolInfo response-cache-control
    response-content-disposition response-content-encoding response-content-language response-content-type
    response-expires restore rtc security-token sequential startTime stat status style styleName symlink tagging
    dataPipeline legalHold objectWorm overwriteConfig quota retention rtc seal transferAcceleration uploadId uploads
    userDefinedLogFieldsConfig versionId versioning versions vod website worm wormExtend wormId
"""
SUBRESOURCES = frozenset(_NAMES.split())

DISPUTED = frozenset({"accessmonitor", "regions"})
"""Sub-resources that oss2 and alibabacloud-oss-v2 do not sign and other clients do."""


def canonical_resource(address: Address, without: frozenset[str] = frozenset()) -> str:
    """ "/bucket/key" with the decoded key ("/bucket/" for a bucket, "/" for the service) and the signed parameters but
    those in `without`."""
    resource = f"/{address.bucket}/{address.key}" if address.bucket else "/"
    if not address.params:
        return resource
    params = ((k, v) for k, v in address.params.items() if k not in without)
    signed = sorted((k, v) for k, v in params if k in SUBRESOURCES or k.startswith("x-oss-"))
    if not signed:
        return resource
    return resource + "?" + "&".join(f"{k}={v}" if v else k for k, v in signed)


def string_to_sign(request: Request, address: Address, date: str, without: frozenset[str] = frozenset()) -> bytes:
    """date: value of x-oss-date or Date; in a URL the value of Expires. without: parameters to leave out."""
    headers = request.headers
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(n for n in headers if n.startswith("x-oss-"))]
    # Header values are bytes shown as latin-1, names of buckets and keys are UTF-8.
    head = "\n".join(lines).encode("latin-1") + b"\n"
    return head + canonical_resource(address, without).encode("utf-8", "surrogateescape")


def sign(secret: str, text: bytes) -> str:
    """Base64 of the HMAC-SHA1."""
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode("ascii")
