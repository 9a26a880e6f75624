"""OSS signature version 1 (HMAC-SHA1): the string to sign and the signature, in a header or in the URL.

Only computes; `verify` decides. Pure functions, any thread. The server's own implementation: clients have theirs, so
that a mistake in one is not hidden by the same mistake in the other.
"""

from __future__ import annotations

import functools
import hmac
from binascii import b2a_base64

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
    head = f"{request.method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{date}\n"
    own = [name for name in headers if name.startswith("x-oss-")]
    if own:
        head += "".join([f"{name}:{headers[name].strip()}\n" for name in sorted(own)])
    # Header values are bytes shown as latin-1, names of buckets and keys are UTF-8.
    return head.encode("latin-1") + canonical_resource(address, without).encode("utf-8", "surrogateescape")


@functools.lru_cache(maxsize=1024)
def _keyed(secret: str) -> hmac.HMAC:
    """To be copied: taking the key in costs more than the text."""
    return hmac.new(secret.encode(), digestmod="sha1")


def sign(secret: str, text: bytes) -> str:
    """Base64 of the HMAC-SHA1."""
    digest = _keyed(secret).copy()
    digest.update(text)
    return b2a_base64(digest.digest(), newline=False).decode("ascii")
