"""Every bucket configuration there is: the rows that `routes` makes operations of.

A configuration with an effect has its row in the module of that effect; the others are rows here. Tables only, read by
any thread.
"""

from __future__ import annotations

import json

from osscloud.cors import CONFIGURATION as CORS
from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import Configuration, missing, unset, xml
from osscloud.operations.tagging import tagging_document
from osscloud.website import CONFIGURATION as WEBSITE
from osscloud.xml import Document

__all__ = ["CONFIGURATIONS"]


def _empty(root: str, **leaves: str) -> bytes:
    document = Document(root)
    document.leaves(leaves)
    return document.bytes()


def _referer() -> bytes:
    document = Document("RefererConfiguration")
    document.leaves({"AllowEmptyReferer": "true", "AllowTruncateQueryString": "true", "TruncatePath": "false"})
    document.leaf("RefererList", "")
    return document.bytes()


def _accept_json(call: Call, body: bytes) -> bytes:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise OssError("InvalidPolicyDocument", f"The policy is not JSON: {error}", status=400) from error
    if not isinstance(document, dict):
        raise OssError("InvalidPolicyDocument", "The policy is not an object.", status=400)
    return body


def _as_put(kept: bytes) -> bytes:
    return kept


CONFIGURATIONS: tuple[Configuration, ...] = (
    WEBSITE,
    CORS,
    Configuration(
        "policy",
        "BucketPolicy",
        _accept_json,
        missing("NoSuchBucketPolicy"),
        _as_put,
        media_type="application/json",
    ),
    xml("lifecycle", "BucketLifecycle", "LifecycleConfiguration", None, unset=missing("NoSuchLifecycle")),
    xml("logging", "BucketLogging", "BucketLoggingStatus", None, unset=unset(_empty("BucketLoggingStatus"))),
    xml("referer", "BucketReferer", "RefererConfiguration", None, unset=unset(_referer()), deletable=False),
    xml("tagging", "BucketTagging", "Tagging", None, unset=unset(tagging_document({}))),
    xml(
        "encryption",
        "BucketEncryption",
        "ServerSideEncryptionRule",
        None,
        unset=missing("NoSuchServerSideEncryptionRule"),
    ),
    xml(
        "requestPayment",
        "BucketRequestPayment",
        "RequestPaymentConfiguration",
        None,
        unset=unset(_empty("RequestPaymentConfiguration", Payer="BucketOwner")),
        deletable=False,
    ),
    xml(
        "bucketArchiveDirectRead",
        "BucketArchiveDirectRead",
        "ArchiveDirectReadConfiguration",
        None,
        unset=unset(_empty("ArchiveDirectReadConfiguration", Enabled="false")),
        deletable=False,
    ),
)
