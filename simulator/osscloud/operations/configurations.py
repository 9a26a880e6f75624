"""Every bucket configuration there is: the rows that `routes` makes operations of.

A configuration with an effect of its own has its row in the module of that effect; the others are rows here, and what
they do elsewhere is a line where it is done (`bucket.get_info` shows them). Tables only, read by any thread.
"""

from __future__ import annotations

from osscloud import accessmonitor, encryption, lifecyclerule, referer, requestpayment, serverlog
from osscloud.cors import CONFIGURATION as CORS
from osscloud.operations.bucket import DEFAULT_RESOURCE_GROUP, resource_group_document
from osscloud.operations.config import (
    Configuration,
    Schema,
    boolean,
    missing,
    number,
    one_of,
    text,
    unset,
    xml,
)
from osscloud.operations.policy import POLICY
from osscloud.operations.tagging import BUCKET_TAGS
from osscloud.website import CONFIGURATION as WEBSITE
from osscloud.xml import Document

__all__ = ["CONFIGURATIONS"]


def _holding(root: str, **leaves: str) -> bytes:
    document = Document(root)
    document.leaves(leaves)
    return document.bytes()


_BANDWIDTHS = ("TotalUploadBandwidth", "TotalDownloadBandwidth", "TotalQps")
_QOS: Schema = {
    f"{name}?": number(-1)
    for total in _BANDWIDTHS
    for name in (total, total.replace("Total", "Intranet"), total.replace("Total", "Extranet"))
}
_HTTPS: Schema = {
    "TLS?": {"Enable": boolean, "TLSVersion*": one_of("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")},
    "CipherSuite?": {
        "Enable": boolean,
        "StrongCipherSuite?": boolean,
        "CustomCipherSuite*": text,
        "TLS13CustomCipherSuite*": text,
    },
}
_LOG_FIELDS: Schema = {"HeaderSet?": {"header*": text}, "ParamSet?": {"parameter*": text}}
_CALLBACKS: Schema = {"PolicyItem+": {"PolicyName": text, "Callback": text, "CallbackVar?": text}}

CONFIGURATIONS: tuple[Configuration, ...] = (
    WEBSITE,
    CORS,
    POLICY,
    lifecyclerule.CONFIGURATION,
    serverlog.CONFIGURATION,
    referer.CONFIGURATION,
    encryption.CONFIGURATION,
    requestpayment.CONFIGURATION,
    BUCKET_TAGS,
    xml(
        "bucketArchiveDirectRead",
        "BucketArchiveDirectRead",
        "ArchiveDirectReadConfiguration",
        {"Enabled": boolean},
        unset=unset(_holding("ArchiveDirectReadConfiguration", Enabled="false")),
        deletable=False,
    ),
    accessmonitor.CONFIGURATION,
    xml(
        "transferAcceleration",
        "BucketTransferAcceleration",
        "TransferAccelerationConfiguration",
        {"Enabled": boolean},
        unset=missing("NoSuchTransferAccelerationConfiguration"),
        deletable=False,
    ),
    xml(
        "resourceGroup",
        "BucketResourceGroup",
        "BucketResourceGroupConfiguration",
        {"ResourceGroupId": text},
        unset=unset(resource_group_document(DEFAULT_RESOURCE_GROUP)),
        deletable=False,
    ),
    xml(
        "httpsConfig",
        "BucketHttpsConfig",
        "HttpsConfiguration",
        _HTTPS,
        unset=unset(_holding("HttpsConfiguration")),
        deletable=False,
    ),
    xml(
        "publicAccessBlock",
        "BucketPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        {"BlockPublicAccess": boolean},
        unset=unset(_holding("PublicAccessBlockConfiguration", BlockPublicAccess="false")),
    ),
    xml("qosInfo", "BucketQosInfo", "QoSConfiguration", _QOS, unset=missing("NoSuchBucketQosInfo")),
    xml(
        "qos",
        "BucketStorageCapacity",
        "BucketUserQos",
        {"StorageCapacity": number(-1)},
        unset=unset(_holding("BucketUserQos", StorageCapacity="-1")),
        deletable=False,
    ),
    xml(
        "userDefinedLogFieldsConfig",
        "UserDefinedLogFieldsConfig",
        "UserDefinedLogFieldsConfiguration",
        _LOG_FIELDS,
        unset=missing("NoSuchUserDefinedLogFieldsConfig"),
    ),
    xml(
        "policy?comp=callback",
        "BucketCallbackPolicy",
        "BucketCallbackPolicy",
        _CALLBACKS,
        unset=missing("NoSuchCallbackPolicy"),
    ),
)
