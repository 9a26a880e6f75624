"""OSS's error codes and the exception that carries one to the answer.

This module knows the table (status, message, EC); it does not write XML (`xml.error_document`) and does not log.
Values are immutable; any thread may raise and read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ERRORS", "ErrorKind", "OssError"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table. ec: OSS's finer error code ("0026-00000001"), "" where none is known."""

    status: int
    message: str
    ec: str = ""


class OssError(Exception):
    """A request that OSS refuses. Give the code as the documentation spells it; message, status and EC default to the
    table's row (an unknown code needs at least a status, else KeyError: that is a mistake in this package).

    extras: additional elements of the error document in order, e.g. {"BucketName": "b"}, a mapping
    nests one level; headers: additional response
    headers.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        ec: str = "",
        extras: Mapping[str, str | Mapping[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = ERRORS[code] if not status or code in ERRORS else ErrorKind(status, code)
        self.code = code
        self.message = message or kind.message
        self.status = status or kind.status
        self.ec = ec or kind.ec
        self.extras: Mapping[str, str | Mapping[str, str]] = extras or {}
        self.headers: Mapping[str, str] = headers or {}
        super().__init__(f"{self.status} {code}: {self.message}")


_MALFORMED_XML = "The XML you provided was not well-formed or did not validate against our published schema."

# Vendor documentation "Error codes"; messages and ECs as the vendor SDKs' own tests assert them where they do.
ERRORS: Mapping[str, ErrorKind] = {
    # 400
    "AccessMonitorDisableNotAllowed": ErrorKind(
        400, "Access monitor can not be disabled while lifecycle rules are based on the last access time."
    ),
    "BadRequest": ErrorKind(400, "Insufficient information. Origin request header needed."),
    "EntityTooLarge": ErrorKind(400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": ErrorKind(400, "Your proposed upload is smaller than the minimum allowed size."),
    "IncorrectNumberOfFilesInPOSTRequest": ErrorKind(400, "POST requires exactly one file upload per request."),
    "IncompleteBody": ErrorKind(400, "The request body terminated unexpectedly."),
    "InvalidArgument": ErrorKind(400, "Invalid Argument."),
    "InvalidBucketName": ErrorKind(400, "The specified bucket is not valid.", "0015-00000001"),
    "InvalidCRC64": ErrorKind(400, "The CRC64 you specified is not matched with the CRC64 calculated by OSS."),
    "InvalidDigest": ErrorKind(400, "The Content-MD5 you specified was invalid."),
    "InvalidEncryptionAlgorithmError": ErrorKind(400, "The Encryption request you specified is not valid."),
    "InvalidHostPutBucket": ErrorKind(400, "The requested host is not valid for creating a bucket."),
    "InvalidObjectName": ErrorKind(400, "The specified object is not valid."),
    "InvalidPart": ErrorKind(
        400,
        "One or more of the specified parts could not be found or the specified entity tag might not have matched "
        "the part's entity tag.",
    ),
    "InvalidPartOrder": ErrorKind(400, "The list of parts was not in ascending order."),
    "InvalidPolicyDocument": ErrorKind(400, "The content of the form does not meet the conditions of the policy."),
    "InvalidRequest": ErrorKind(400, "Invalid Request."),
    "InvalidTag": ErrorKind(400, "The tag provided is invalid."),
    "InvalidTargetBucketForLogging": ErrorKind(400, "Put bucket log requester is not target bucket owner."),
    "InvalidTargetType": ErrorKind(400, "The symbol's target file type is invalid.", "0026-00000011"),
    "InvalidURI": ErrorKind(400, "Couldn't parse the specified URI."),
    "InvalidWORMConfiguration": ErrorKind(400, "The WORM configuration does not allow this change."),
    "MalformedXML": ErrorKind(400, _MALFORMED_XML, "0031-00000001"),
    "MalformedPOSTRequest": ErrorKind(
        400, "The body of your POST request is not well-formed multipart/form-data.", "0006-00000201"
    ),
    "MissingArgument": ErrorKind(400, "Missing Some Required Arguments."),
    "NotSymlink": ErrorKind(400, "The object is not symlink.", "0043-00000101"),
    "OperationNotSupported": ErrorKind(400, "The operation is not supported for this resource.", "0016-00000702"),
    "InvalidTaggingKey": ErrorKind(400, "The tag key is invalid."),
    "RepeatedTags": ErrorKind(400, "Cannot provide multiple tags with the same key."),
    "RequestTimeout": ErrorKind(
        400, "Your socket connection to the server was not read from or written to within the timeout period."
    ),
    "TooManyBuckets": ErrorKind(400, "You have attempted to create more buckets than allowed."),
    "TooManyTags": ErrorKind(400, "The number of tags exceeds the limit of 10."),
    # 403
    "AccessDenied": ErrorKind(403, "AccessDenied"),
    "AccessForbidden": ErrorKind(
        403,
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
        "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
        "resource's CORS spec.",
    ),
    "AccessKeyIdAndSecurityTokenNotMatch": ErrorKind(
        403, "The OSS access key id and security token you provided does not match."
    ),
    "BucketDisable": ErrorKind(403, "The bucket is disabled."),
    "InvalidAccessKeyId": ErrorKind(
        403, "The OSS Access Key Id you provided does not exist in our records.", "0002-00000902"
    ),
    "InvalidObjectState": ErrorKind(403, "The operation is not valid for the object's state"),
    "InvalidSecurityToken": ErrorKind(403, "The security token you provided is invalid."),
    "NonStandardHostForbidden": ErrorKind(403, "The host you specified is not a standard OSS host."),
    "PermanentRedirect": ErrorKind(
        403, "The bucket you are attempting to access must be addressed using the specified endpoint."
    ),
    "RequestTimeTooSkewed": ErrorKind(
        403, "The difference between the request time and the current time is too large.", "0002-00000504"
    ),
    "SecondLevelDomainForbidden": ErrorKind(
        403,
        "The bucket you are attempting to access must be addressed using OSS third level domain.",
    ),
    "SecurityTokenExpired": ErrorKind(403, "The security token you provided has expired."),
    "SignatureDoesNotMatch": ErrorKind(
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method.",
        "0002-00000040",
    ),
    "UserDisable": ErrorKind(403, "UserDisable", "0003-00000801"),
    # 404
    "NoSuchBucketQosInfo": ErrorKind(404, "The specified bucket has no QoS configuration."),
    "NoSuchCallbackPolicy": ErrorKind(404, "The bucket callback policy does not exist."),
    "NoSuchCname": ErrorKind(404, "The specified cname does not exist."),
    "NoSuchCnameToken": ErrorKind(404, "The specified cname token does not exist."),
    "NoSuchInventory": ErrorKind(404, "The specified inventory configuration does not exist."),
    "NoSuchReplicationConfiguration": ErrorKind(404, "The bucket replication configuration does not exist."),
    "NoSuchReplicationRule": ErrorKind(404, "The specified replication rule does not exist."),
    "NoSuchStyle": ErrorKind(404, "The specified style does not exist."),
    "NoSuchTransferAccelerationConfiguration": ErrorKind(
        404, "The bucket you specified does not have a transfer acceleration configuration."
    ),
    "NoSuchUserDefinedLogFieldsConfig": ErrorKind(404, "The user defined log fields do not exist."),
    "NoSuchBucket": ErrorKind(404, "The specified bucket does not exist.", "0015-00000101"),
    "NoSuchBucketPolicy": ErrorKind(404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": ErrorKind(404, "The CORS Configuration does not exist."),
    "NoSuchKey": ErrorKind(404, "The specified key does not exist.", "0026-00000001"),
    "NoSuchLifecycle": ErrorKind(404, "No Row found in Lifecycle Table."),
    "NoSuchServerSideEncryptionRule": ErrorKind(404, "The server side encryption rule does not exist."),
    "NoSuchUpload": ErrorKind(
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        "0042-00000002",
    ),
    "NoSuchVersion": ErrorKind(404, "The specified version does not exist.", "0026-00000001"),
    "NoSuchWORMConfiguration": ErrorKind(404, "The WORM Configuration does not exist."),
    "NoSuchWebsiteConfiguration": ErrorKind(404, "The specified bucket does not have a website configuration."),
    "SymlinkTargetNotExist": ErrorKind(404, "The symbol target does not exist", "0026-00000012"),
    # 405, 409, 411, 412, 416
    "MethodNotAllowed": ErrorKind(405, "The specified method is not allowed against this resource."),
    "BucketAlreadyExists": ErrorKind(
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
        "0015-00000104",
    ),
    "BucketNotEmpty": ErrorKind(409, "The bucket you tried to delete is not empty.", "0015-00000301"),
    "ArchiveRestoreNotFinished": ErrorKind(409, "The archive file's restore is not finished.", "0016-00000719"),
    "CnameAlreadyExists": ErrorKind(409, "The cname is already bound to a bucket."),
    "FileImmutable": ErrorKind(409, "The object you specified is immutable.", "0026-00000005"),
    "RestoreAlreadyInProgress": ErrorKind(409, "The restore operation is in progress."),
    "WORMConfigurationAlreadyExists": ErrorKind(409, "The WORM Configuration already exists."),
    "WORMConfigurationLocked": ErrorKind(409, "The WORM Configuration is locked."),
    "FileAlreadyExists": ErrorKind(409, "The object you specified already exists and can not be overwritten."),
    "ObjectNotAppendable": ErrorKind(409, "The object is not appendable"),
    "PositionNotEqualToLength": ErrorKind(409, "Position is not equal to file length", "0026-00000016"),
    "MissingContentLength": ErrorKind(411, "You must provide the Content-Length HTTP header."),
    "PreconditionFailed": ErrorKind(412, "At least one of the pre-conditions you specified did not hold."),
    "InvalidRange": ErrorKind(416, "The requested range cannot be satisfied"),
    "MirrorFailed": ErrorKind(424, "Mirroring failed, please check your mirror configuration."),
    # 5xx
    "InternalError": ErrorKind(500, "We encountered an internal error. Please try again."),
    "NotImplemented": ErrorKind(501, "A header you provided implies functionality that is not implemented."),
    "ServiceUnavailable": ErrorKind(503, "Please reduce your request rate."),
    "TotalQpsLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
    "MetaOperationQpsLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
    "DownloadTrafficRateLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
    "UploadTrafficRateLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
    "ActiveRequestLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
    "CpuLimitExceeded": ErrorKind(503, "Please reduce your request rate."),
}
