"""One request on its way through the pipeline, and what an operation is.

A `Call` belongs to the thread that handles the request; an `Operation` is an immutable value.
"""

from __future__ import annotations

import itertools
import random
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from osscloud.accounts import Session
from osscloud.addressing import Address
from osscloud.errors import OssError
from osscloud.faults import Fault
from osscloud.message import Request, Response
from osscloud.signing.verify import ANONYMOUS, Identity
from osscloud.store import ENABLED, NULL_VERSION, Bucket, Store, Version

__all__ = ["Call", "Grant", "Ids", "Operation", "Switches"]

Grant = Literal["", "read", "write"]


class Ids:
    """Identifiers as the service spells them, from the service's random source."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._written = itertools.count(1)

    def resume(self, number: int) -> None:
        """Version ids from here on are greater than the one with this number."""
        self._written = itertools.count(max(number + 1, next(self._written)))

    def request_id(self) -> str:
        """24 upper-case hex digits."""
        return f"{self._rng.getrandbits(96):024X}"

    def upload_id(self) -> str:
        """32 upper-case hex digits."""
        return f"{self._rng.getrandbits(128):032X}"

    def version_id(self, bucket: Bucket) -> str:
        """The id of a version that is about to be written: "null" unless versioning is enabled, else 60 opaque
        characters. Later ids are greater."""
        if bucket.versioning != ENABLED:
            return NULL_VERSION
        return f"CAEQ{next(self._written):012x}{urlsafe_b64encode(self._rng.randbytes(33)).decode()}"


class Switches(Protocol):
    """The part of `ServiceConfig` that operations look at."""

    @property
    def region(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def domains(self) -> tuple[str, ...]: ...
    @property
    def regions(self) -> tuple[str, ...]: ...
    @property
    def max_restore_days(self) -> int: ...
    @property
    def worm_with_versioning(self) -> bool: ...
    @property
    def max_buckets(self) -> int: ...
    @property
    def max_copy_bytes(self) -> int: ...
    @property
    def overlong_range(self) -> Literal["ignore", "refuse"]: ...
    @property
    def index_page(self) -> Literal["always", "missing"]: ...
    @property
    def website_head(self) -> bool: ...
    @property
    def force_download(self) -> bool: ...
    @property
    def mirror_range(self) -> Literal["whole", "relay"]: ...
    @property
    def versioned_mirror(self) -> bool: ...


class Authoriser(Protocol):
    def __call__(self, call: Call, action: str, bucket: Bucket, key: str, grant: Grant) -> None:
        """Raises OssError AccessDenied."""
        ...


class FormSigner(Protocol):
    def __call__(self, call: Call, fields: Mapping[str, str]) -> Identity:
        """Who signed a form. Raises OssError."""
        ...


class RoleAssumer(Protocol):
    def __call__(self, account: str, role: str) -> Session:
        """Temporary credentials of a role for OSS itself, which the role has to trust. Raises LookupError with the
        reason."""
        ...


class Call:
    """received: the request as it came; request: the same as a native client would have sent it. request_id: of the
    answer. headers: of `request`, lower-case names. params: decoded. now: whole seconds. scanned, returned: for the
    log, set by listings. object_size, delta_data_size: for the log, set by what reads and `publish`. read_class:
    storage class of the content that was read, when that is not Standard, for the cost. identity: anonymous until the
    request is authenticated. s3: what `received` addresses, when it speaks S3. fault: the one that the request met.
    error: what it was refused with. concealed: an error that a website's page is answered for; the log tells it."""

    __slots__ = (
        "_bucket",
        "assume_role",
        "authoriser",
        "bucket_name",
        "concealed",
        "config",
        "delta_data_size",
        "error",
        "fault",
        "form_signer",
        "headers",
        "identity",
        "ids",
        "key",
        "method",
        "now",
        "object_size",
        "operation",
        "params",
        "read_class",
        "received",
        "request",
        "request_id",
        "returned",
        "s3",
        "scanned",
        "store",
    )

    def __init__(
        self,
        request: Request,
        request_id: str,
        *,
        store: Store,
        config: Switches,
        ids: Ids,
        authoriser: Authoriser,
        form_signer: FormSigner,
        assume_role: RoleAssumer,
        now: int,
    ) -> None:
        self.received = self.request = request
        self.request_id = request_id
        self.method = request.method
        self.headers: Mapping[str, str] = request.headers
        self.bucket_name = ""
        self.key = ""
        self.params: Mapping[str, str] = {}
        self.identity = ANONYMOUS
        self.store = store
        self.config = config
        self.ids = ids
        self.authoriser = authoriser
        self.form_signer = form_signer
        self.assume_role = assume_role
        self.now = now
        self.operation: Operation | None = None
        self._bucket: Bucket | None = None
        self.read_class = ""
        self.s3: Address | None = None
        self.fault: Fault | None = None
        self.error: OssError | None = None
        self.concealed: OssError | None = None
        self.scanned = 0
        self.returned = 0
        self.object_size: int | None = None
        self.delta_data_size: int | None = None

    @property
    def bucket(self) -> Bucket:
        """The bucket of the request. Raises OssError NoSuchBucket."""
        if self._bucket is None:
            self._bucket = self.find_bucket(self.bucket_name)
        return self._bucket

    def current_bucket(self) -> Bucket:
        """The bucket as it is now, for a change under the lock: it may have been deleted since the request came.
        Raises OssError NoSuchBucket."""
        bucket = self.find_bucket(self.bucket_name)
        self._bucket = bucket
        return bucket

    def find_bucket(self, name: str) -> Bucket:
        """Any bucket by name. Raises OssError NoSuchBucket."""
        bucket = self.store.buckets.get(name)
        if bucket is None:
            raise OssError("NoSuchBucket", extras={"BucketName": name})
        return bucket

    def publish(self, bucket: Bucket, version: Version) -> None:
        """Makes a new version the newest of its key, and notes for the log what that changes."""
        self.note_size(version, bucket.objects.get(version.key))
        bucket.publish(version)

    def note_size(self, new: Version, old: Version | None) -> None:
        """For the log: a version that takes the place of another."""
        self.object_size = new.size
        self.delta_data_size = new.size - (0 if old is None else old.size)

    def sign_form(self, fields: Mapping[str, str]) -> Identity:
        """Who signed a PostObject form, ANONYMOUS when nobody did. fields: lower-case names. Raises OssError."""
        return self.form_signer(self, fields)

    def authorise(self, action: str, bucket: Bucket, key: str, grant: Grant = "") -> None:
        """Checks one more permission than the operation's own. Raises OssError AccessDenied."""
        self.authoriser(self, action, bucket, key, grant)


@dataclass(frozen=True, slots=True)
class Operation:
    """name: as the access log says it. action: what a policy must allow; "" when the operation asks for each of its
    keys itself. version_action: likewise when the request has a versionId. grant: what a public ACL may grant for it;
    never a listing, as READ on an OSS bucket means reading its objects. needs_bucket: the bucket must exist."""

    name: str
    action: str
    run: Callable[[Call], Response]
    grant: Grant = ""
    version_action: str = ""
    needs_bucket: bool = True
