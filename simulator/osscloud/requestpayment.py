"""Requester pays: who uses another account's bucket says that he knows it.

Vendor documentation, errors 0003-00000701 to 0003-00000703. Any thread.
"""

from __future__ import annotations

from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import configured, one_of, unset, xml
from osscloud.store import Bucket
from osscloud.xml import Document, parse

__all__ = ["CONFIGURATION", "check_payer"]

_HEADER = "x-oss-request-payer"


def _unset() -> bytes:
    document = Document("RequestPaymentConfiguration")
    document.leaf("Payer", "BucketOwner")
    return document.bytes()


CONFIGURATION = xml(
    "requestPayment",
    "BucketRequestPayment",
    "RequestPaymentConfiguration",
    {"Payer": one_of("BucketOwner", "Requester")},
    unset=unset(_unset()),
    deletable=False,
)


def _payer(kept: bytes) -> str:
    return parse(kept, "RequestPaymentConfiguration").findtext("Payer") or ""


def check_payer(call: Call, bucket: Bucket) -> None:
    """Raises OssError AccessDenied for a request to a requester-pays bucket that is anonymous, or of another account
    and without x-oss-request-payer: requester (a header, or a parameter of a signed URL)."""
    if configured(bucket, "requestPayment", _payer) != "Requester":
        return
    identity = call.identity
    if identity.anonymous:
        raise OssError("AccessDenied", "Anonymous user can not access a requester pays bucket.", ec="0003-00000701")
    if identity.account == bucket.owner:
        return
    said = call.headers.get(_HEADER) or call.params.get(_HEADER, "")
    if said.lower() != "requester":
        ec = "0003-00000702" if identity.in_url else "0003-00000703"
        raise OssError("AccessDenied", "You must specify x-oss-request-payer for a requester pays bucket.", ec=ec)
