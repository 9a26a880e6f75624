"""The control interface of a served cloud: a few calls below /-/ for whoever started it.

Not part of OSS: its requests are neither signed nor logged, they carry `Authorization: Bearer TOKEN`. Bodies and
answers are JSON but for snapshots. Any thread.

    GET    /-/log                  {"mark", "now", "records"}: the access log, oldest first. since=N: from position N
                                   on. The filters of `logquery` by name; its since and until are called from and to
    POST   /-/advance              {"seconds"}: moves the cloud's time ahead and does what is due then; {"now"}
    GET    /-/faults               {"faults", "outage"}: those that have hits left, with `left`; how long nobody gets
                                   through
    POST   /-/faults               a fault, by the fields of `faults.Fault`; adds it
    DELETE /-/faults               forgets all, ends an outage
    GET    /-/keys                 {"keys": [{"id", "secret", "account", "user", "status"}]}
    POST   /-/keys                 {"id", "secret", "account", "user", "policy"}, all optional; the key made
    POST   /-/keys/ID/disable      likewise enable
    DELETE /-/keys/ID
    GET    /-/ram                  users, roles, policies, identity providers, without secrets
    POST   /-/ram                  a document of `ram.document`: creates all that it names; what was created
    PUT    /-/ram/instance-role    {"role", "account"}: the role of the metadata service, "" for none
    GET    /-/buckets              {"buckets": [names]}
    POST   /-/buckets              {"name", "versioning", "owner", "acl"}, all but the name optional
    DELETE /-/buckets/NAME         with everything in it
    GET    /-/snapshot             the whole state as a file (`persistence.snapshot`)
    PUT    /-/snapshot             the file: its state takes the place of what is there; {"buckets", "versions", ...}
"""

from __future__ import annotations

import hmac
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, fields
from difflib import get_close_matches
from io import BytesIO
from typing import Protocol
from urllib.parse import unquote

from osscloud.accesslog import AccessLog
from osscloud.accounts import AccessKey, Accounts
from osscloud.addressing import parse_query, split_target
from osscloud.admin import Admin
from osscloud.clock import Clock
from osscloud.errors import OssError
from osscloud.faults import Fault, FaultPlan
from osscloud.instance import InstanceMetadata
from osscloud.logquery import LogFilter, record_json
from osscloud.message import Request, Response
from osscloud.operations.routes import operation_names
from osscloud.persistence.errors import StateError
from osscloud.persistence.snapshot import load, save
from osscloud.ram.policy import Policy
from osscloud.store import Store

__all__ = ["Control", "record_json"]

PREFIX = "/-/"
_READ_SIZE = 512 * 1024


class MovableClock(Clock, Protocol):
    def advance(self, seconds: float) -> None: ...


class Cloud(Protocol):
    """What there is of `OssService` to control."""

    @property
    def access_log(self) -> AccessLog: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def admin(self) -> Admin: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def faults(self) -> FaultPlan: ...
    @property
    def instance(self) -> InstanceMetadata: ...
    @property
    def store(self) -> Store: ...
    def resume_ids(self, number: int) -> None: ...
    def tick(self) -> None: ...


class _Refused(Exception):
    """Becomes the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _TemporaryFile:
    """A file without a name, as a response's body; gone with the last reference. Implements `message.Blob`."""

    def __init__(self) -> None:
        self._descriptor, path = tempfile.mkstemp(prefix="ossvol-")
        os.unlink(path)
        self.size = 0

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return self.size

    def descriptor(self) -> int:
        return os.dup(self._descriptor)

    def chunks(self) -> Iterator[bytes]:
        for position in range(0, self.size, _READ_SIZE):
            yield os.pread(self._descriptor, min(_READ_SIZE, self.size - position), position)


class Control:
    """Answers the paths below /-/ for one cloud, usually an `OssService`, with a clock that can be moved. token: what a
    caller has to show."""

    def __init__(self, cloud: Cloud, *, clock: MovableClock, token: str) -> None:
        self._cloud = cloud
        self._clock = clock
        self._token = token

    def handle(self, request: Request) -> Response:
        """403 without the token, 404 for what there is not, 405 for a wrong method, 400 for a body without sense, 409
        for what is there already, 500 when the disk refuses."""
        try:
            answer = self._dispatch(request)
            # Told only when it is written.
            self._cloud.store.settle()
        except _Refused as refused:
            return _json(refused.status, {"error": str(refused)})
        except OssError as error:
            return _json(error.status, {"error": error.message})
        return answer if isinstance(answer, Response) else _json(200, answer)

    def _dispatch(self, request: Request) -> dict[str, object] | Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = token.strip().encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, self._token.encode()) or scheme.lower() != "bearer":
            raise _Refused(403, "the control token is missing or wrong")
        path, query = split_target(request.target)
        parts = [unquote(part) for part in path.removeprefix(PREFIX).split("/")]
        match request.method, *parts:
            case "GET", "log":
                return self._records(dict(parse_query(query)))
            case "POST", "advance":
                return self._advance(_body(request))
            case _, "faults":
                return self._faults(request)
            case _, "keys", *rest if len(rest) < 3:
                return self._keys(request, rest)
            case _, "ram", *rest if rest in ([], ["instance-role"]):
                return self._ram(request, rest)
            case _, "buckets", *rest if len(rest) < 2:
                return self._buckets(request, rest)
            case "GET", "snapshot":
                return self._save()
            case "PUT", "snapshot":
                return self._load(request)
            case _, "log" | "advance" | "snapshot":
                raise _not_possible(request)
        raise _Refused(404, f"there is nothing at {path}")

    def _records(self, query: dict[str, str]) -> dict[str, object]:
        position = query.pop("since", "0")
        if not (position.isascii() and position.isdigit()):
            raise _Refused(400, "since must be a position in the log, a number; for a time there is from")
        now = self._clock.now()
        for name, field in (("from", "since"), ("to", "until")):
            if name in query:
                query[field] = query.pop(name)
        try:
            wanted = LogFilter.parse(query, now=now)
        except ValueError as error:
            raise _Refused(400, str(error)) from error
        log = self._cloud.access_log
        mark = log.mark()
        records = [asdict(record) for record in log.since(int(position)) if wanted.fits(record)]
        return {"mark": mark, "now": now, "records": records}

    def _advance(self, body: dict[str, object]) -> dict[str, object]:
        seconds = body.get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e10:
            raise _Refused(400, "seconds must be a number that is not negative")
        self._clock.advance(seconds)
        self._cloud.tick()
        return {"now": self._clock.now()}

    def _faults(self, request: Request) -> dict[str, object]:
        plan = self._cloud.faults
        match request.method:
            case "GET":
                outage = plan.outage()
                return {
                    "faults": [{**asdict(fault), "left": left} for fault, left in plan.left()],
                    "outage": None if outage is None else {"action": outage[0], "seconds": outage[1]},
                }
            case "POST":
                plan.add(_fault(_body(request)))
            case "DELETE":
                plan.clear()
            case _:
                raise _not_possible(request)
        return {}

    def _keys(self, request: Request, rest: list[str]) -> dict[str, object]:
        accounts = self._cloud.accounts
        try:
            match request.method, *rest:
                case ("GET",):
                    return {"keys": [_key(key) for key in list(accounts.keys.values())]}
                case ("POST",):
                    return self._create_key(_body(request))
                case "POST", id, "disable":
                    accounts.disable(id)
                case "POST", id, "enable":
                    accounts.enable(id)
                case "DELETE", id:
                    accounts.delete(id)
                case _:
                    raise _not_possible(request)
        except KeyError as error:
            raise _Refused(404, f"there is no {error.args[0]!r}") from error
        return {}

    def _create_key(self, body: dict[str, object]) -> dict[str, object]:
        document = body.pop("policy", None)
        texts = _texts(body, "id", "secret", "account", "user")
        try:
            policy = None if document is None else Policy.parse(_object(document, "policy"))
        except ValueError as error:
            raise _Refused(400, f"policy: {error}") from error
        accounts = self._cloud.accounts
        try:
            key = accounts.create_key(**texts)
        except ValueError as error:
            raise _Refused(409 if accounts.find(texts.get("id", "")) else 400, str(error)) from error
        if policy is not None:
            accounts.set_policy(key.id, policy)
        return _key(accounts.keys[key.id])

    def _ram(self, request: Request, rest: list[str]) -> dict[str, object]:
        # pydantic takes its time to load, and a server shall start at once.
        from osscloud.ram.document import describe, establish  # noqa: PLC0415

        accounts = self._cloud.accounts
        try:
            match request.method, *rest:
                case ("GET",):
                    return describe(accounts)
                case ("POST",):
                    return establish(_body(request), accounts)
                case "PUT", "instance-role":
                    texts = _texts(_body(request), "role", "account")
                    self._cloud.instance.attach(texts.get("role", ""), account=texts.get("account", ""))
                    return {}
        except KeyError as error:
            raise _Refused(404, f"there is no role {error.args[0]!r}") from error
        except ValueError as error:
            raise _Refused(400, str(error)) from error
        raise _not_possible(request)

    def _buckets(self, request: Request, rest: list[str]) -> dict[str, object]:
        admin = self._cloud.admin
        match request.method, *rest:
            case ("GET",):
                return {"buckets": admin.buckets()}
            case ("POST",):
                texts = _texts(_body(request), "name", "versioning", "owner", "acl")
                if "name" not in texts:
                    raise _Refused(400, "a bucket needs a name")
                try:
                    admin.create_bucket(texts.pop("name"), **texts)
                except ValueError as error:
                    raise _Refused(400, str(error)) from error
            case "DELETE", name:
                admin.delete_bucket(name, force=True)
            case _:
                raise _not_possible(request)
        return {}

    def _save(self) -> Response:
        body = _TemporaryFile()
        with open(body.descriptor(), "w+b") as file:
            save(self._cloud, file)
            body.size = file.seek(0, os.SEEK_END)
        headers = {"Content-Type": "application/zip", "Content-Length": str(len(body))}
        return Response(200, headers, body)

    def _load(self, request: Request) -> dict[str, object]:
        try:
            summary = load(self._cloud, BytesIO(bytes(request.body)), "the body")
        except StateError as error:
            raise _Refused(400, str(error)) from error
        self._cloud.tick()
        return asdict(summary)


def _not_possible(request: Request) -> _Refused:
    return _Refused(405, f"{request.method} is not possible here")


def _body(request: Request) -> dict[str, object]:
    try:
        value = json.loads(bytes(request.body))
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"the body is not JSON: {error}") from error
    return _object(value, "the body")


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Refused(400, f"{what} must be a JSON object")
    return value


def _texts(body: dict[str, object], *known: str) -> dict[str, str]:
    found = {}
    for name, value in body.items():
        if name not in known:
            raise _Refused(400, f"there is no {name!r} here; there are {', '.join(known)}")
        if not isinstance(value, str):
            raise _Refused(400, f"{name} must be a text")
        found[name] = value
    return found


def _key(key: AccessKey) -> dict[str, object]:
    return {"id": key.id, "secret": key.secret, "account": key.account, "user": key.user, "status": key.status}


def _fault(body: dict[str, object]) -> Fault:
    known = {field.name: type(field.default) for field in fields(Fault)}
    for name, value in body.items():
        wanted = known.get(name)
        if wanted is None:
            raise _Refused(400, f"a fault has no {name!r}; it has {', '.join(known)}")
        numeric = wanted is float and isinstance(value, int) and not isinstance(value, bool)
        if type(value) is not wanted and not numeric:
            raise _Refused(400, f"{name} must be of type {wanted.__name__}")
    try:
        fault = Fault(**body)  # type: ignore[arg-type]
    except ValueError as error:
        raise _Refused(400, str(error)) from error
    names = operation_names()
    if fault.operation not in {"*", *names}:
        near = get_close_matches(fault.operation, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "the access log tells what they are called; * is every one"
        raise _Refused(400, f"there is no operation {fault.operation!r}: {hint}")
    if fault.action in ("latency", "stall") and not fault.seconds:
        raise _Refused(400, f"a fault of action {fault.action} needs seconds")
    return fault


def _json(status: int, value: dict[str, object]) -> Response:
    body = json.dumps(value).encode() + b"\n"
    return Response(status, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)
