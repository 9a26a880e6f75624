"""Server-side encryption: the bucket's default rule, and what a write says of its own.

Nothing is encrypted here: clients see headers, and headers are all that this is. Pure functions of a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from osscloud.errors import OssError
from osscloud.operations.call import Call
from osscloud.operations.config import Configuration, Schema, configured, document, missing, text
from osscloud.store import Bucket
from osscloud.xml import canonical, parse

__all__ = [
    "ALGORITHM",
    "CONFIGURATION",
    "DefaultEncryption",
    "default_encryption",
    "encryption_headers",
    "re_encrypted",
    "requested_encryption",
]

ALGORITHM = "x-oss-server-side-encryption"
"""The header without which an object or a request says nothing of encryption."""

KEY_ID = "x-oss-server-side-encryption-key-id"
DATA_ENCRYPTION = "x-oss-server-side-data-encryption"
HEADERS = (ALGORITHM, KEY_ID, DATA_ENCRYPTION)

_ALGORITHMS = ("AES256", "KMS", "SM4")
_PATH = "ApplyServerSideEncryptionByDefault/"
_SCHEMA: Schema = {
    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": text, "KMSMasterKeyID?": text, "KMSDataEncryption?": text}
}


@dataclass(frozen=True, slots=True)
class DefaultEncryption:
    """A bucket's rule. key_id, data_encryption: "" when the rule does not say."""

    algorithm: str
    key_id: str = ""
    data_encryption: str = ""

    def headers(self) -> dict[str, str]:
        """What an object written under this rule answers."""
        found = {ALGORITHM: self.algorithm, KEY_ID: self.key_id, DATA_ENCRYPTION: self.data_encryption}
        return {name: value for name, value in found.items() if value}

    def check(self) -> None:
        """Raises OssError InvalidEncryptionAlgorithmError, InvalidArgument."""
        if self.algorithm not in _ALGORITHMS:
            raise OssError("InvalidEncryptionAlgorithmError", extras={"SSEAlgorithm": self.algorithm})
        if self.key_id and self.algorithm != "KMS":
            raise _invalid(
                "KMSMasterKeyID", self.key_id, "KMSMasterKeyID is not applicable if SSEAlgorithm is not KMS."
            )
        if self.data_encryption and (self.algorithm, self.data_encryption) != ("KMS", "SM4"):
            raise _invalid("KMSDataEncryption", self.data_encryption, "KMSDataEncryption is SM4, and only with KMS.")


def _invalid(name: str, value: str, message: str) -> OssError:
    return OssError("InvalidArgument", message, extras={"ArgumentName": name, "ArgumentValue": value})


def _read(kept: bytes) -> DefaultEncryption:
    root = parse(kept, "ServerSideEncryptionRule")
    names = ("SSEAlgorithm", "KMSMasterKeyID", "KMSDataEncryption")
    return DefaultEncryption(*(root.findtext(_PATH + name) or "" for name in names))


def _accept(call: Call, body: bytes) -> bytes:
    document("ServerSideEncryptionRule", _SCHEMA, body)
    _read(body).check()
    return body


def _render(kept: bytes) -> bytes:
    return canonical(parse(kept, "ServerSideEncryptionRule"))


CONFIGURATION = Configuration(
    "encryption", "BucketEncryption", _accept, missing("NoSuchServerSideEncryptionRule"), _render
)


def default_encryption(bucket: Bucket) -> DefaultEncryption | None:
    """The bucket's rule, None without one."""
    return configured(bucket, "encryption", _read)


def requested_encryption(call: Call) -> dict[str, str]:
    """The encryption headers of the object that a request writes: its own, else the bucket's.

    Raises OssError InvalidEncryptionAlgorithmError, InvalidArgument."""
    algorithm = call.headers.get(ALGORITHM)
    if algorithm is not None:
        rule = DefaultEncryption(algorithm, call.headers.get(KEY_ID, ""), call.headers.get(DATA_ENCRYPTION, ""))
        rule.check()
        return rule.headers()
    configs = call.bucket.configs
    if configs and "encryption" in configs:
        found = default_encryption(call.bucket)
        if found is not None:
            return found.headers()
    return {}


def re_encrypted(headers: Mapping[str, str], encryption: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of an object that was written anew with that encryption: a copy does not take its source's."""
    if ALGORITHM not in headers and not encryption:
        return headers
    return {name: value for name, value in headers.items() if name not in HEADERS} | dict(encryption)


def encryption_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of an object's headers that the answer to a write repeats."""
    if ALGORITHM not in headers:
        return {}
    return {name: headers[name] for name in HEADERS if name in headers}
