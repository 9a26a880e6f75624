"""The control interface of a served cloud: a few JSON calls below /-/ for whoever started it.

Not part of OSS: its requests are neither signed nor logged, they carry `Authorization: Bearer TOKEN`. Any thread.

    GET    /-/log?since=N    {"mark": N, "records": [...]}, the access log from position N on
    POST   /-/advance        {"seconds": S}: moves the cloud's time ahead; {"now": T}
    GET    /-/faults         {"faults": [...]}: those that have hits left
    POST   /-/faults         a fault, by the fields of `faults.Fault`; adds it
    DELETE /-/faults         forgets all
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, fields
from typing import Protocol

from osscloud.accesslog import AccessLog, LogRecord
from osscloud.addressing import parse_query, split_target
from osscloud.clock import Clock
from osscloud.faults import Fault, FaultPlan
from osscloud.message import Request, Response

__all__ = ["Control", "record_json"]

PREFIX = "/-/"


class MovableClock(Clock, Protocol):
    def advance(self, seconds: float) -> None: ...


class _Refused(Exception):
    """Becomes the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def record_json(record: LogRecord) -> str:
    """One record of the access log as a JSON object on one line."""
    return json.dumps(asdict(record), separators=(",", ":"))


class Control:
    """Answers the paths below /-/ for one cloud. token: what a caller has to show."""

    def __init__(self, *, log: AccessLog, faults: FaultPlan, clock: MovableClock, token: str) -> None:
        self._log = log
        self._faults = faults
        self._clock = clock
        self._token = token

    def handle(self, request: Request) -> Response:
        """401 without the token, 404 for an unknown path, 405 for a wrong method, 400 for a body without sense."""
        try:
            answer = self._dispatch(request)
        except _Refused as refused:
            return _json(refused.status, {"error": str(refused)})
        return _json(200, answer)

    def _dispatch(self, request: Request) -> dict[str, object]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(token.strip().encode("latin-1"), self._token.encode()):
            raise _Refused(401, "the control token is missing or wrong")
        path, query = split_target(request.target)
        match request.method, path.removeprefix(PREFIX):
            case "GET", "log":
                return self._records(parse_query(query).get("since", "0"))
            case "POST", "advance":
                return self._advance(_body(request))
            case "GET", "faults":
                return {"faults": [asdict(fault) for fault in self._faults.pending()]}
            case "POST", "faults":
                self._faults.add(_fault(_body(request)))
                return {}
            case "DELETE", "faults":
                self._faults.clear()
                return {}
            case _, "log" | "advance" | "faults":
                raise _Refused(405, f"{request.method} is not possible here")
        raise _Refused(404, f"there is nothing at {path}")

    def _records(self, since: str) -> dict[str, object]:
        if not (since.isascii() and since.isdigit()):
            raise _Refused(400, "since must be a number")
        mark = self._log.mark()
        return {"mark": mark, "records": [asdict(record) for record in self._log.since(int(since))]}

    def _advance(self, body: dict[str, object]) -> dict[str, object]:
        seconds = body.get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e10:
            raise _Refused(400, "seconds must be a number that is not negative")
        self._clock.advance(seconds)
        return {"now": self._clock.now()}


def _body(request: Request) -> dict[str, object]:
    try:
        value = json.loads(bytes(request.body))
    except ValueError as error:
        raise _Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Refused(400, "the body must be a JSON object")
    return value


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
        return Fault(**body)  # type: ignore[arg-type]
    except ValueError as error:
        raise _Refused(400, str(error)) from error


def _json(status: int, value: dict[str, object]) -> Response:
    body = json.dumps(value).encode() + b"\n"
    return Response(status, {"Content-Type": "application/json", "Content-Length": str(len(body))}, body)
