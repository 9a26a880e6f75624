"""`OssService.handle`: the whole cloud as one function from `Request` to `Response`.

The pipeline is `_serve`, top to bottom: resolve the address, find the operation, meet the fault plan, authenticate,
find the bucket, authorise, do it; `handle` turns an `OssError` into its document and writes the log. No socket, no wall
clock, no global random source. Any thread may call `handle`, several at once.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from osscloud.accesslog import AccessLog, LogRecord
from osscloud.accounts import Accounts
from osscloud.addressing import Address, resolve
from osscloud.admin import Admin
from osscloud.clock import Clock
from osscloud.cost import cost_ms
from osscloud.errors import OssError
from osscloud.faults import Fault, FaultedResponse, FaultPlan
from osscloud.message import Request, Response
from osscloud.operations.call import Call, Ids
from osscloud.operations.routes import route
from osscloud.operations.selection import check_object_name
from osscloud.permission import Permissions
from osscloud.s3 import to_native, to_s3
from osscloud.signing.verify import authenticate, speaks_s3
from osscloud.store import Store
from osscloud.xml import error_document, http_date

__all__ = ["Admin", "OssService", "ServiceConfig"]


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What one cloud is told about itself.

    region: without "oss-". endpoint: reported as Extranet- and IntranetEndpoint; HTTP adapters set their own.
    domains: BUCKET.<anything under these> is virtual-host style. max_buckets: per account. max_skew_seconds: how far a
    request's date may be off. max_copy_bytes: largest CopyObject (the vendor's older documents say 1 GiB).
    overlong_range: what a range past the end does without x-oss-range-behavior: standard (documents of different age
    disagree). log_limit: how many access log records are kept; None keeps all.
    """

    region: str = "cn-hangzhou"
    endpoint: str = "oss-cn-hangzhou.aliyuncs.com"
    domains: tuple[str, ...] = ("localhost", "aliyuncs.com")
    max_buckets: int = 100
    max_skew_seconds: int = 900
    max_copy_bytes: int = 5 * 1024**3
    overlong_range: Literal["ignore", "refuse"] = "ignore"
    log_limit: int | None = None


class OssService:
    """One cloud.

    clock: its time. rng: source of every id and generated key, so that a seed repeats a run. accounts: keys and their
    policies. access_log: one record a request. faults: what shall go wrong. admin: the server-side view. cnames: custom
    domain (lower case) to bucket. observers: called with every request as received and its answer, on the thread that
    serves it, before the client gets the answer.
    """

    def __init__(self, *, clock: Clock, rng: random.Random, config: ServiceConfig | None = None) -> None:
        self.config = config or ServiceConfig()
        self.clock = clock
        self.cnames: dict[str, str] = {}
        self.accounts = Accounts(rng)
        self.access_log = AccessLog(self.config.log_limit)
        self.faults = FaultPlan()
        self.observers: list[Callable[[Request, Response], None]] = []
        self._ids = Ids(rng)
        self._store = Store()
        self._permissions = Permissions(self.accounts)
        self.admin = Admin(self._store, self._ids, clock)

    def handle(self, request: Request) -> Response:
        """Answers one request. Never raises for what a client sent; an exception is a mistake in this package."""
        return self._exchange(request, None)

    def refuse(self, request: Request, error: OssError) -> Response:
        """The answer to a request that a transport found unacceptable (no length, broken body), logged like any
        other."""
        return self._exchange(request, error)

    def _exchange(self, request: Request, refusal: OssError | None) -> Response:
        now = self.clock.now()
        call = Call(
            request,
            store=self._store,
            config=self.config,
            ids=self._ids,
            authoriser=self._permissions.check,
            now=int(now),
        )
        exchange = _Exchange(call, self._ids.request_id())
        try:
            if refusal is not None:
                raise refusal
            response = self._serve(exchange)
        except OssError as error:
            exchange.error = error
            response = _refusal(exchange, error)
        cost = self._cost(call, response)
        response = _complete(exchange, response, cost)
        self._log(exchange, response, now, cost)
        for observer in self.observers:
            observer(request, response)
        return response if exchange.s3 is None else to_s3(request, exchange.s3, response)

    def _serve(self, exchange: _Exchange) -> Response:
        """The pipeline. Raises OssError."""
        call = exchange.call
        address = self._resolve(exchange)
        call.operation = operation = route(
            call.method, address.bucket, address.key, address.params, copies="x-oss-copy-source" in call.headers
        )
        fault = self.faults.take(operation.name, address.key)
        if fault is not None:
            exchange.fault = fault
            if fault.action == "answer":
                raise OssError(fault.code, status=fault.status)
            if fault.action == "reset":
                return Response(200)
        call.identity = authenticate(exchange.received, address, self.accounts, self.clock, self.config)
        if operation.needs_bucket:
            bucket = call.bucket
            action = operation.action
            if operation.version_action and "versionId" in address.params:
                action = operation.version_action
            if action:
                self._permissions.check(call.identity, action, bucket, address.key, operation.grant)
        else:
            self._permissions.check_service(call.identity, operation.action, address.bucket)
        if address.key:
            check_object_name(address.key)
        return operation.run(call)

    def _resolve(self, exchange: _Exchange) -> Address:
        call = exchange.call
        address = resolve(exchange.received, self.config, self.cnames)
        if speaks_s3(exchange.received):
            exchange.s3 = address
            call.request = to_native(exchange.received, address)
            call.headers = call.request.headers
        call.bucket_name, call.key, call.params = address.bucket, address.key, address.params
        return address

    @staticmethod
    def _cost(call: Call, response: Response) -> float:
        name = call.operation.name if call.operation is not None else "-"
        return cost_ms(name, bytes_in=len(call.request.body), bytes_out=len(response.body), scanned=call.scanned)

    def _log(self, exchange: _Exchange, response: Response, now: float, cost: float) -> None:
        call, error, request = exchange.call, exchange.error, exchange.received
        self.access_log.append(
            LogRecord(
                now,
                exchange.request_id,
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
                request.headers.get("user-agent", ""),
                request.client_ip,
                call.identity.access_key_id,
                call.scanned,
                call.returned,
                cost,
                exchange.fault is not None,
                request.caller,
            )
        )


class _Exchange:
    """What the pipeline learns of a request beside its `Call`: the request as received, S3's address of it when it
    speaks S3, the fault it met, the error it ended in."""

    __slots__ = ("call", "error", "fault", "received", "request_id", "s3")

    def __init__(self, call: Call, request_id: str) -> None:
        self.call = call
        self.received = call.request
        self.request_id = request_id
        self.s3: Address | None = None
        self.fault: Fault | None = None
        self.error: OssError | None = None


def _refusal(exchange: _Exchange, error: OssError) -> Response:
    """The answer that carries an error: a document, or for HEAD the same in x-oss-err."""
    request = exchange.received
    document = error_document(error, request_id=exchange.request_id, host=request.headers.get("host", ""))
    headers = dict(error.headers)
    if error.ec:
        headers["x-oss-ec"] = error.ec
    if request.method == "HEAD":
        headers["x-oss-err"] = b64encode(document).decode()
        return Response(error.status, headers)
    return Response(error.status, headers, document)


def _complete(exchange: _Exchange, response: Response, cost: float) -> Response:
    """Adds the headers that every answer has, and what a fault makes of it."""
    headers = {
        "Server": "AliyunOSS",
        "Date": http_date(exchange.call.now),
        "Content-Length": str(len(response.body)),
        "Connection": "keep-alive",
        "x-oss-request-id": exchange.request_id,
        **response.headers,
        "x-oss-server-time": str(round(cost)),
    }
    if len(response.body) and "Content-Type" not in headers:
        headers["Content-Type"] = "application/xml"
    fault = exchange.fault
    if fault is not None and fault.action != "answer":
        return FaultedResponse(response.status, headers, response.body, fault.action, fault.seconds)
    return Response(response.status, headers, response.body)
