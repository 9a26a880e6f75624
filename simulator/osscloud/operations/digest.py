"""What a request says of its own body, compared with the body. Pure functions."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import md5

from osscloud.blob import crc64_of
from osscloud.errors import OssError
from osscloud.operations.call import Call

__all__ = ["check_body"]


def check_body(call: Call, body: bytes) -> tuple[str, int]:
    """The quoted MD5 ETag and the CRC-64 of a body, compared with what the request says of them.

    Raises OssError InvalidDigest, InvalidCRC64."""
    digest = md5(body, usedforsecurity=False)
    expected = call.headers.get("content-md5")
    if expected:
        try:
            matches = b64decode(expected, validate=True) == digest.digest()
        except (Base64Error, ValueError):
            matches = False
        if not matches:
            raise OssError(
                "InvalidDigest",
                extras={"ExpectedDigest": expected, "CalculatedDigest": b64encode(digest.digest()).decode()},
            )
    crc = crc64_of(body)
    claimed = call.headers.get("x-oss-hash-crc64ecma")
    if claimed is not None and claimed != str(crc):
        raise OssError("InvalidCRC64", extras={"ExpectedCRC64": claimed, "CalculatedCRC64": str(crc)})
    return f'"{digest.hexdigest().upper()}"', crc
