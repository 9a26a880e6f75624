"""`OssService.handle`: the whole cloud as one function from `Request` to `Response`.

The pipeline is `_serve`, top to bottom: resolve the address, find the operation, meet the fault plan, authenticate,
find the bucket, let its website have its say, authorise, do it; `handle` turns an `OssError` into its document and
writes the log. No socket, no wall clock, no global random source. Any thread may call `handle`, several at once.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal

from osscloud import cors, instance, sts, website
from osscloud.accesslog import AccessLog, LogRecord
from osscloud.accounts import Accounts, Session
from osscloud.addressing import Address, resolve
from osscloud.admin import Admin
from osscloud.clock import Clock
from osscloud.cost import FIRST_BYTE_MS, cost_ms
from osscloud.errors import OssError
from osscloud.faults import LOST, SPOILED, FaultedResponse, FaultPlan, throttle_code
from osscloud.instance import InstanceMetadata
from osscloud.lifecycle import evaluate
from osscloud.message import Deferred, Request, Response
from osscloud.mirror import NoOrigin, Origin
from osscloud.operations.call import Call, Ids, Operation
from osscloud.operations.routes import route
from osscloud.operations.selection import check_object_name
from osscloud.permission import Permissions
from osscloud.referer import check_referer
from osscloud.requestpayment import check_payer
from osscloud.s3 import to_native, to_s3
from osscloud.serverlog import HOUR, write_logs
from osscloud.signing.verify import Identity, authenticate, authenticate_form, speaks_s3
from osscloud.store import Store
from osscloud.sts import StsService
from osscloud.xml import error_document, http_date

__all__ = ["Admin", "OssService", "ServiceConfig"]

ELSEWHERE = (
    "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future "
    "requests to this endpoint."
)

# What follows the first slash of a request that may be another service's; "" is in every text.
_OTHERS_BEGIN = "?l"


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What one cloud is told about itself.

    region: without "oss-". endpoint: reported as Extranet- and IntranetEndpoint; HTTP adapters set their own.
    domains: BUCKET.<anything under these> is virtual-host style. max_buckets: per account. max_skew_seconds: how far a
    request's date may be off. max_copy_bytes: largest CopyObject (the vendor's older documents say 1 GiB).
    overlong_range: what a range past the end does without x-oss-range-behavior: standard (documents of different age
    disagree). index_page, website_head, force_download, mirror_range, versioned_mirror: see docs/cloud.md, "Websites
    and mirrors", which has the evidence for each.
    regions: what DescribeRegions lists beside `region`. max_restore_days: of one RestoreObject (newer documents allow
    more). worm_with_versioning: a retention policy and versioning may meet (documents until 2024 say no, newer ones
    yes).
    log_limit: how many access log records are kept; None keeps all. vpcs: (network, VPC id) pairs that tell
    acs:SourceVpc by the client's address, first match.
    """

    region: str = "cn-hangzhou"
    endpoint: str = "oss-cn-hangzhou.aliyuncs.com"
    domains: tuple[str, ...] = ("localhost", "aliyuncs.com")
    max_buckets: int = 100
    max_skew_seconds: int = 900
    max_copy_bytes: int = 5 * 1024**3
    overlong_range: Literal["ignore", "refuse"] = "ignore"
    index_page: Literal["always", "missing"] = "always"
    website_head: bool = True
    force_download: bool = True
    mirror_range: Literal["whole", "relay"] = "whole"
    versioned_mirror: bool = False
    regions: tuple[str, ...] = (
        "cn-hangzhou",
        "cn-shanghai",
        "cn-beijing",
        "cn-shenzhen",
        "ap-southeast-1",
        "us-west-1",
    )
    max_restore_days: int = 7
    worm_with_versioning: bool = True
    log_limit: int | None = None
    vpcs: tuple[tuple[str, str], ...] = ()


class OssService:
    """One cloud.

    clock: its time. rng: source of every id and generated key, so that a seed repeats a run. accounts: keys, users,
    roles and their policies. sts, instance: give out temporary credentials; `handle` passes on what is meant for them.
    access_log: one record a request. faults: what shall go wrong. admin: the server-side view. cnames: custom domain
    (lower case) to bucket. origin: how mirror rules reach other servers; without one they reach none.
    observers: called with every request as received and its answer, on the thread that serves it, before the client
    gets the answer.
    """

    def __init__(
        self, *, clock: Clock, rng: random.Random, config: ServiceConfig | None = None, origin: Origin | None = None
    ) -> None:
        self.config = config or ServiceConfig()
        self._origin: Origin = origin or NoOrigin()
        self.clock = clock
        self.accounts = Accounts(rng)
        self.sts = StsService(self.accounts, clock=clock, rng=rng)
        self.instance = InstanceMetadata(self.accounts, clock)
        self.access_log = AccessLog(self.config.log_limit)
        self.faults = FaultPlan(clock)
        self.observers: list[Callable[[Request, Response], None]] = []
        self._ids = Ids(rng)
        self._store = Store()
        self._permissions = Permissions(self.accounts, lambda: self.config)
        self.admin = Admin(self._store, self._ids, clock, self._catch_up)
        self._next_tick = 0.0
        self._logged = 0

    @property
    def store(self) -> Store:
        """What the cloud keeps, for who keeps it beyond the process (`persistence`)."""
        return self._store

    def resume_ids(self, number: int) -> None:
        """Makes version ids from here on greater than those up to `number`, which a store that was read in has."""
        self._ids.resume(number)

    @property
    def cnames(self) -> dict[str, str]:
        """Custom domain (lower case) to bucket."""
        return self._store.cnames

    def tick(self) -> None:
        """Does what the time that has passed made due: lifecycle rules at every midnight (UTC), log objects for every
        hour. Doing it again changes nothing; requests and the server-side view do it by themselves once an hour."""
        now = self.clock.now()
        hour = now // HOUR * HOUR
        with self._store.lock:
            self._next_tick = hour + HOUR
            evaluate(self._store, self._ids, int(now))
            if any("logging" in bucket.configs for bucket in self._store.buckets.values()):
                records = list(takewhile(lambda record: record.time < hour, self.access_log.since(self._logged)))
                self._logged += len(records)
                write_logs(self._store, self._ids, records)
            else:
                self._logged = self.access_log.mark()

    def _catch_up(self) -> None:
        if self.clock.now() >= self._next_tick:
            self.tick()

    def handle(self, request: Request) -> Response:
        """Answers one request. Never raises for what a client sent; an exception is a mistake in this package."""
        return self._exchange(request, None)

    def begin(self, request: Request) -> Response | Deferred:
        """`handle` for a transport that must not be held up: what has to wait for another server comes back as the
        rest of the work."""
        return self._begin(request, None)

    def refuse(self, request: Request, error: OssError) -> Response:
        """The answer to a request that a transport found unacceptable (no length, broken body), logged like any
        other."""
        return self._exchange(request, error)

    def _exchange(self, request: Request, refusal: OssError | None) -> Response:
        answer = self._begin(request, refusal)
        return answer.resume() if isinstance(answer, Deferred) else answer

    def _begin(self, request: Request, refusal: OssError | None) -> Response | Deferred:
        # STS and the metadata service share host and port: the one is always asked "/", the other "/latest/...".
        if request.target[1:2] in _OTHERS_BEGIN and refusal is None:
            other = self._other_service(request)
            if other is not None:
                return other
        if self.faults.down is not None:
            outage = self.faults.outage()
            if outage is not None:
                # Nobody is there who could log it.
                return FaultedResponse(0, action=outage[0], seconds=outage[1])
        now = self.clock.now()
        call = Call(
            request,
            self._ids.request_id(),
            store=self._store,
            config=self.config,
            ids=self._ids,
            authoriser=self._permissions.check,
            form_signer=self._form_identity,
            assume_role=self._own_session,
            now=int(now),
        )
        try:
            if refusal is not None:
                raise refusal
            if now >= self._next_tick:
                self.tick()
            answer = self._serve(call)
            if self._store.journal is not None:
                self._store.settle()
        except OssError as error:
            answer = _refusal(call, error)
        if isinstance(answer, Deferred):
            rest = answer.resume
            return Deferred(lambda: self._end(call, self._resume(call, rest), now))
        return self._end(call, answer, now)

    def _other_service(self, request: Request) -> Response | None:
        if sts.addressed(request):
            response = self.sts.handle(request)
        elif instance.addressed(request):
            response = self.instance.handle(request)
        else:
            return None
        if self._store.journal is not None:
            self._store.settle()
        return response

    def _resume(self, call: Call, rest: Callable[[], Response]) -> Response:
        try:
            response = rest()
            if self._store.journal is not None:
                self._store.settle()
        except OssError as error:
            return _refusal(call, error)
        return response

    def _end(self, call: Call, response: Response, now: float) -> Response:
        bucket = self._store.buckets.get(call.bucket_name)
        if bucket is not None and bucket.configs:
            response = cors.admit(call, bucket, response)
        cost = _cost(call, response)
        response = _complete(call, response, cost)
        self._log(call, response, now, cost)
        for observer in self.observers:
            observer(call.received, response)
        return response if call.s3 is None else to_s3(call.received, call.s3, response)

    def _serve(self, call: Call) -> Response | Deferred:
        """The pipeline. Raises OssError."""
        address = self._resolve(call)
        call.operation = operation = route(
            call.method,
            address.bucket,
            address.key,
            address.params,
            copies="x-oss-copy-source" in call.headers,
            s3=call.s3 is not None,
        )
        fault = self.faults.take(operation.name, address.key)
        if fault is not None:
            call.fault = fault
            if fault.action == "answer":
                raise OssError(fault.code, status=fault.status)
            if fault.action == "throttle":
                raise OssError(throttle_code(operation.name))
            if fault.action in LOST:
                return Response(0)
        # Whoever talks to the endpoint of another region signs for that one.
        signed_for = replace(self.config, region=address.elsewhere) if address.elsewhere else self.config
        call.identity = authenticate(call.received, address, self.accounts, self.clock, signed_for)
        if address.elsewhere and address.bucket:
            raise self._at_home(call, operation)
        if address.custom and operation.name == "PutBucket":
            raise OssError("InvalidHostPutBucket")
        if operation.needs_bucket and call.bucket.configs:
            check_referer(call, call.bucket)
            check_payer(call, call.bucket)
            if website.routes(call, operation):
                return website.serve(call, address, lambda: self._perform(call, operation, address), self._origin)
        return self._perform(call, operation, address)

    def _at_home(self, call: Call, operation: Operation) -> OssError:
        """What the endpoint of another region answers for a bucket of this one. ossfs from 1.91 on reads Endpoint and
        goes there."""
        if operation.name == "PutBucket" and call.bucket_name not in self._store.buckets:
            return OssError("NotImplemented", f"This service has one region, {self.config.region}.")
        extras = {"Bucket": call.bucket.name, "Endpoint": self.config.endpoint}
        return OssError("AccessDenied", ELSEWHERE, ec="0003-00001403", extras=extras)

    def _perform(self, call: Call, operation: Operation, address: Address) -> Response:
        """Authorises and does it. Raises OssError."""
        if operation.needs_bucket:
            bucket = call.bucket
            action = operation.action
            if operation.version_action and "versionId" in address.params:
                action = operation.version_action
            if action:
                self._permissions.check(call, action, bucket, address.key, operation.grant)
        else:
            self._permissions.check_service(call, operation.action, address.bucket)
        if address.key:
            check_object_name(address.key)
        return operation.run(call)

    def _form_identity(self, call: Call, fields: Mapping[str, str]) -> Identity:
        return authenticate_form(fields, call.request, self.accounts, self.clock, self.config)

    def _own_session(self, account: str, role: str) -> Session:
        """A role that OSS acts as, for mirror rules. Raises LookupError."""
        found = self.accounts.ram.role(role, account=account)
        if found is None:
            raise LookupError(f"account {account} has no role {role}")
        if not sts.trusts(found, frozenset({"Service oss.aliyuncs.com"}), {}):
            raise LookupError(f"the role {role} does not trust the service oss.aliyuncs.com")
        return self.accounts.shared_session(
            found, "oss-mirror", lifetime=3600, renewed_before=600, now=self.clock.now()
        )

    def _resolve(self, call: Call) -> Address:
        address = resolve(call.received, self.config, self._store.cnames)
        if speaks_s3(call.received):
            call.s3 = address
            call.request = to_native(call.received, address)
            call.headers = call.request.headers
        call.bucket_name, call.key, call.params = address.bucket, address.key, address.params
        return address

    def _log(self, call: Call, response: Response, now: float, cost: float) -> None:
        request, headers, identity = call.received, call.received.headers, call.identity
        error = call.error or call.concealed
        self.access_log.append(
            LogRecord(
                now,
                call.request_id,
                call.operation.name if call.operation is not None else "-",
                call.bucket_name,
                call.key,
                request.method,
                request.target,
                response.status,
                "" if error is None else error.code,
                "" if error is None else error.ec,
                len(request.body),
                len(response.body),
                headers.get("user-agent", ""),
                request.client_ip,
                identity.access_key_id,
                call.scanned,
                call.returned,
                cost,
                call.fault is not None,
                request.caller,
                headers.get("host", ""),
                headers.get("referer", ""),
                identity.account,
                call.object_size,
                call.delta_data_size,
            )
        )


def _refusal(call: Call, error: OssError) -> Response:
    """The answer that carries an error: a document, or for HEAD the same in x-oss-err."""
    call.error = error
    request = call.received
    document = error_document(error, request_id=call.request_id, host=request.headers.get("host", ""))
    headers = dict(error.headers)
    if error.ec:
        headers["x-oss-ec"] = error.ec
    if request.method == "HEAD":
        headers["x-oss-err"] = b64encode(document).decode()
        return Response(error.status, headers)
    return Response(error.status, headers, document)


def _cost(call: Call, response: Response) -> float:
    name = call.operation.name if call.operation is not None else "-"
    cost = cost_ms(name, bytes_in=len(call.request.body), bytes_out=len(response.body), scanned=call.scanned)
    if call.read_class:
        cost += FIRST_BYTE_MS[call.read_class]
    if call.fault is not None and call.fault.action == "latency":
        cost += call.fault.seconds * 1000
    return cost


def _complete(call: Call, response: Response, cost: float) -> Response:
    """The answer of an operation with the headers that every answer has, and what a fault makes of it."""
    headers, body = response.headers, response.body
    headers["Server"] = "AliyunOSS"
    headers["Date"] = http_date(call.now)
    headers["Connection"] = "keep-alive"
    headers["x-oss-request-id"] = call.request_id
    headers["x-oss-server-time"] = str(round(cost))
    if "Transfer-Encoding" in headers:
        headers.pop("Content-Length", None)
    elif "Content-Length" not in headers:
        headers["Content-Length"] = str(len(body))
    if body and "Content-Type" not in headers:
        headers["Content-Type"] = "application/xml"
    fault = call.fault
    if fault is None:
        return response
    if fault.action == "crc" and "x-oss-hash-crc64ecma" in headers:
        headers["x-oss-hash-crc64ecma"] = str(int(headers["x-oss-hash-crc64ecma"]) ^ 1)
    elif fault.action in SPOILED:
        return FaultedResponse(response.status, headers, body, fault.action, fault.seconds)
    return response
