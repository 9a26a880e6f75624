"""STS: temporary credentials of roles, by the RPC protocol of the vendor's other APIs (version 2015-04-01).

AssumeRole (signed by a RAM user or a role), AssumeRoleWithOIDC (unsigned, with a token: RRSA), GetCallerIdentity.
Served beside OSS: `addressed` tells which requests are meant, by a rule that no OSS request meets. No socket, no wall
clock. Any thread.
"""

from __future__ import annotations

import hmac
import json
import random
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from osscloud.accounts import AccessKey, Accounts, Policy
from osscloud.addressing import parse_query, split_target
from osscloud.clock import Clock
from osscloud.message import Request, Response
from osscloud.oidc import Claims, MissingDependency, TokenError, TokenExpired, check_token
from osscloud.ram.condition import MappingContext
from osscloud.ram.entity import OidcProvider, Role, Session, User
from osscloud.ram.policy import PolicyError, combine, parse_text
from osscloud.signing import acs
from osscloud.xml import Document

__all__ = ["VERSION", "StsCall", "StsService", "addressed", "trusts"]

VERSION = "2015-04-01"

_HOST = re.compile(r"sts(-vpc)?(\.(?!oss-)[a-z0-9-]+)?\.aliyuncs\.com")
_MARK = f"Version={VERSION}"
_ROLE_ARN = re.compile(r"acs:ram::\d+:role/[^/]+")
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_MAX_POLICY = 2048
_SKEW = 900
_NO_PERMISSION = "You are not authorized to do this action. You should be authorized by RAM."

Answer = dict[str, object]


def addressed(request: Request) -> bool:
    """True for a request to STS: its host is one of STS's, or it asks for "/" and names an action and the version of
    its API (query, form or header), which no request to OSS does."""
    headers = request.headers
    host = headers.get("host", "").lower().partition(":")[0]
    if host.startswith("sts") and _HOST.fullmatch(host):
        return True
    if split_target(request.target)[0] != "/":
        return False
    if "x-acs-action" in headers:
        return headers.get("x-acs-version") == VERSION
    text = request.target
    if request.method == "POST" and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        text += "&" + bytes(request.body[:65536]).decode("latin-1")
    return "Action=" in text and _MARK in text


@dataclass(frozen=True, slots=True)
class StsCall:
    """A request that was answered. code: "" for a good one. caller: access key id, "" for AssumeRoleWithOIDC."""

    time: float
    request_id: str
    action: str
    status: int
    code: str
    caller: str
    role_arn: str
    client_ip: str
    user_agent: str


class _Refused(Exception):
    """Becomes the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who signed. One of user and session, or neither: the account itself."""

    key: AccessKey
    user: User | None
    session: Session | None

    @property
    def arn(self) -> str:
        if self.session is not None:
            return self.session.arn
        return self.user.arn if self.user is not None else f"acs:ram::{self.key.account}:root"


class StsService:
    """calls: the last thousand, oldest first."""

    def __init__(self, accounts: Accounts, *, clock: Clock, rng: random.Random) -> None:
        self._accounts = accounts
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()
        self._nonces: dict[str, float] = {}
        self.calls: deque[StsCall] = deque(maxlen=1000)

    def handle(self, request: Request) -> Response:
        """Answers one request. Never raises for what a client sent."""
        now = self._clock.now()
        request_id = self._request_id()
        call = _Call(request)
        status, code = 200, ""
        try:
            answer = self._serve(call, now)
        except _Refused as refused:
            status, code = refused.status, refused.code
            answer = {"HostId": request.headers.get("host", ""), "Code": code, "Message": str(refused)}
            answer["Recommend"] = f"https://api.aliyun.com/troubleshoot?q={code}&product=Sts"
        self.calls.append(
            StsCall(
                now,
                request_id,
                call.action,
                status,
                code,
                call.access_key_id,
                call.params.get("RoleArn", ""),
                request.client_ip,
                request.headers.get("user-agent", ""),
            )
        )
        name = "Error" if code else f"{call.action}Response"
        return _response(status, {"RequestId": request_id, **answer}, name, request_id, json_wanted=call.json_wanted)

    def _request_id(self) -> str:
        digits = f"{self._rng.getrandbits(128):032X}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _serve(self, call: _Call, now: float) -> Answer:
        if call.request.method not in ("GET", "POST"):
            raise _Refused(405, "UnsupportedHTTPMethod", "This http method is not supported.")
        if call.version != VERSION:
            raise _Refused(400, "InvalidVersion", "Specified parameter Version is not valid.")
        match call.action:
            case "AssumeRole":
                return self._assume_role(call, now)
            case "AssumeRoleWithOIDC":
                return self._assume_role_with_oidc(call, now)
            case "GetCallerIdentity":
                return self._caller_identity(self._authenticate(call, now))
        message = "Specified api is not found, please check your url and method."
        raise _Refused(404, "InvalidAction.NotFound", message)

    # Authentication

    def _authenticate(self, call: _Call, now: float) -> _Caller:
        id = call.access_key_id
        if not id:
            raise _missing("AccessKeyId")
        session = self._session(call, id, now)
        if session is not None:
            key = AccessKey(session.access_key_id, session.secret, session.account)
        else:
            found = self._accounts.find(id)
            if found is None or (found.user and self._accounts.user_of(found) is None):
                raise _Refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            if found.status == "Disabled":
                raise _Refused(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
            key = found
        self._check_fresh(call, now)
        computed, text = call.sign(key.secret)
        if not hmac.compare_digest(computed.encode(), call.signature.encode("utf-8", "replace")):
            message = f"Specified signature is not matched with our calculation. server string to sign is:{text}"
            raise _Refused(400, "SignatureDoesNotMatch", message)
        self._check_nonce(call.nonce, now)
        return _Caller(key, self._accounts.user_of(key), session)

    def _session(self, call: _Call, id: str, now: float) -> Session | None:
        token = call.security_token
        session = self._accounts.session(id)
        if session is None:
            if token:
                raise _Refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            return None
        if not token:
            raise _Refused(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
        if token != session.token:
            message = "Specified SecurityToken is mismatched with the AccessKey."
            raise _Refused(400, "InvalidSecurityToken.MismatchWithAccessKey", message)
        if now >= session.expires:
            raise _Refused(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        return session

    def _check_fresh(self, call: _Call, now: float) -> None:
        moment = _moment(call.timestamp)
        if moment is None:
            message = "Specified time stamp or date value is not well formatted."
            raise _Refused(400, "InvalidTimeStamp.Format", message)
        if abs(now - moment) > _SKEW:
            raise _Refused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")

    def _check_nonce(self, nonce: str, now: float) -> None:
        if not nonce:
            raise _missing("SignatureNonce")
        with self._lock:
            for old in [n for n, seen in self._nonces.items() if seen < now - 2 * _SKEW]:
                del self._nonces[old]
            if nonce in self._nonces:
                raise _Refused(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
            self._nonces[nonce] = now

    # Operations

    def _assume_role(self, call: _Call, now: float) -> Answer:
        caller = self._authenticate(call, now)
        arn, name, policy = _role_parameters(call)
        if caller.user is None and caller.session is None:
            raise _Refused(403, "NoPermission", "Roles may not be assumed by root accounts.")
        role = self._accounts.ram.role_by_arn(arn)
        if role is None:
            raise _Refused(404, "EntityNotExist.Role", f"The specified Role not exists : {arn} .")
        if not self._may_assume(caller, role) or not _trusts_caller(role, caller, call.params.get("ExternalId")):
            raise _Refused(403, "NoPermission", _NO_PERMISSION)
        # A role session cannot make one that lasts longer than an hour.
        longest = role.max_session_seconds if caller.session is None else 3600
        return self._credentials(role, name, policy, _duration(call, longest), now)

    def _may_assume(self, caller: _Caller, role: Role) -> bool:
        ram = self._accounts.ram
        entity = caller.user if caller.session is None else ram.session_role(caller.session)
        if entity is None:
            return False
        decisions = [policy.decide("sts:AssumeRole", role.arn) for policy in ram.attached(entity)]
        limit = caller.session.policy if caller.session is not None else ""
        if limit and not parse_text(limit).decide("sts:AssumeRole", role.arn):
            return False
        return bool(combine(decisions))

    def _assume_role_with_oidc(self, call: _Call, now: float) -> Answer:
        arn, name, policy = _role_parameters(call)
        provider_arn, token = call.params.get("OIDCProviderArn", ""), call.params.get("OIDCToken", "")
        if not provider_arn:
            raise _missing("OIDCProviderArn")
        if not token:
            raise _missing("OIDCToken")
        if not 4 <= len(token) <= 20_000:
            raise _wrong("OIDCToken")
        ram = self._accounts.ram
        provider = ram.provider_by_arn(provider_arn)
        if provider is None:
            message = f"The specified OIDC Provider not exists : {provider_arn} ."
            raise _Refused(404, "EntityNotExist.OIDCProvider", message)
        claims = _checked(token, provider, now)
        role = ram.role_by_arn(arn)
        if role is None:
            raise _Refused(404, "EntityNotExist.Role", f"The specified Role not exists : {arn} .")
        if not _trusts_token(role, provider, claims):
            raise _Refused(403, "AuthenticationFail.NoPermission", "This operation is not permitted by the role.")
        answer = self._credentials(role, name, policy, _duration(call, role.max_session_seconds), now)
        answer["OIDCTokenInfo"] = {
            "Subject": claims.subject,
            "Issuer": claims.issuer,
            "ClientIds": ",".join(claims.audiences),
            "IssuanceTime": _iso(claims.issued),
            "ExpirationTime": _iso(claims.expires),
            "VerificationInfo": "Success",
        }
        return answer

    def _credentials(self, role: Role, name: str, policy: str, seconds: int, now: float) -> Answer:
        expires = int(now) + seconds
        session = self._accounts.open_session(role, name, policy=policy, expires=expires, now=now)
        return {
            "AssumedRoleUser": {"Arn": session.arn, "AssumedRoleId": f"{role.id}:{name}"},
            "Credentials": {
                "AccessKeyId": session.access_key_id,
                "AccessKeySecret": session.secret,
                "SecurityToken": session.token,
                "Expiration": _iso(expires),
            },
        }

    @staticmethod
    def _caller_identity(caller: _Caller) -> Answer:
        account = caller.key.account
        answer: Answer = {"AccountId": account, "Arn": caller.arn}
        if caller.session is not None:
            id = caller.session.role_id
            principal = f"{id}:{caller.session.name}"
            return {**answer, "IdentityType": "AssumedRoleUser", "RoleId": id, "PrincipalId": principal}
        if caller.user is not None:
            return {**answer, "IdentityType": "RAMUser", "UserId": caller.user.id, "PrincipalId": caller.user.id}
        return {**answer, "IdentityType": "Account", "UserId": account, "PrincipalId": account}


class _Call:
    """One request, its parameters wherever they are and its signature whichever it is."""

    def __init__(self, request: Request) -> None:
        self.request = request
        headers = request.headers
        self.query = parse_query(split_target(request.target)[1])
        self.params = dict(self.query)
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            self.params |= parse_query(bytes(request.body).decode("utf-8", "surrogateescape"))
        self.authorization = headers.get("authorization", "")
        # The older SDKs send x-acs-action as well, beside their signed parameters.
        named = "x-acs-action" in headers and "Action" not in self.params
        self.acs3 = self.authorization.startswith(acs.ALGORITHM) or named
        source = {name: headers.get(f"x-acs-{name}", "") for name in ("action", "version", "date", "signature-nonce")}
        self._fields: dict[str, str] = {}
        if self.acs3:
            text = self.authorization.removeprefix(acs.ALGORITHM)
            self._fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
            self.action = source["action"] or self.params.get("Action", "")
            self.version = source["version"] or self.params.get("Version", "")
            self.timestamp, self.nonce = source["date"], source["signature-nonce"]
            self.access_key_id = self._fields.get("Credential", "")
            self.signature = self._fields.get("Signature", "")
            self.security_token = headers.get("x-acs-security-token", "")
        else:
            params = self.params
            self.action, self.version = params.get("Action", ""), params.get("Version", "")
            self.timestamp, self.nonce = params.get("Timestamp", ""), params.get("SignatureNonce", "")
            self.access_key_id, self.signature = params.get("AccessKeyId", ""), params.get("Signature", "")
            self.security_token = params.get("SecurityToken", "")
        if self.action == "AssumeRoleWithOIDC":
            self.access_key_id = ""
        wanted = self.params.get("Format", "JSON" if self.acs3 else headers.get("x-acs-format", ""))
        self.json_wanted = wanted.upper() == "JSON" or (not wanted and "json" in headers.get("accept", ""))

    def sign(self, secret: str) -> tuple[str, str]:
        """The signature that the request should have, and the text it is of. Raises _Refused for a method of signing
        that is not supported."""
        if self.acs3:
            signed = [name for name in self._fields.get("SignedHeaders", "").split(";") if name]
            request = self.request
            body = bytes(request.body)
            canonical = acs.canonical_request(request.method, self.query, request.headers, signed, body)
            return acs.sign_acs3(secret, acs.string_to_sign(canonical)), canonical.decode("latin-1")
        if self.params.get("SignatureMethod") != "HMAC-SHA1" or self.params.get("SignatureVersion") != "1.0":
            message = "Specified signature method or version is not supported; use HMAC-SHA1 and 1.0."
            raise _Refused(400, "InvalidSignatureMethod", message)
        text = acs.rpc_string_to_sign(self.request.method, self.params)
        return acs.sign_rpc(secret, text), text.decode("ascii")


def _missing(name: str) -> _Refused:
    return _Refused(400, f"Missing{name}", f"{name} is mandatory for this action.")


def _wrong(name: str) -> _Refused:
    return _Refused(400, f"InvalidParameter.{name}", f"The parameter {name} is wrongly formed.")


def _role_parameters(call: _Call) -> tuple[str, str, str]:
    """RoleArn, RoleSessionName and Policy."""
    arn, name, policy = (call.params.get(n, "") for n in ("RoleArn", "RoleSessionName", "Policy"))
    if not arn:
        raise _missing("RoleArn")
    if not name:
        raise _missing("RoleSessionName")
    if _ROLE_ARN.fullmatch(arn) is None:
        raise _wrong("RoleArn")
    if _SESSION_NAME.fullmatch(name) is None:
        raise _wrong("RoleSessionName")
    if len(policy) > _MAX_POLICY:
        raise _Refused(400, "InvalidParameter.PolicySize", f"The size of Policy must be smaller than {_MAX_POLICY}.")
    if policy:
        try:
            parse_text(policy)
        except PolicyError as error:
            message = "The parameter Policy has not passed grammar check."
            raise _Refused(400, "InvalidParameter.PolicyGrammar", message) from error
    return arn, name, policy


def _duration(call: _Call, longest: int) -> int:
    text = call.params.get("DurationSeconds", "") or "3600"
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 900 <= int(text) <= longest):
        message = f"The Min/Max value of DurationSeconds is 15min/{longest // 60}min."
        raise _Refused(400, "InvalidParameter.DurationSeconds", message)
    return int(text)


def trusts(role: Role, principals: frozenset[str], context: Mapping[str, str]) -> bool:
    """Whether a role's trust policy lets somebody assume it who is called one of these names ("RAM acs:ram::1:root",
    "Service ecs.aliyuncs.com", "Federated ARN"). context: condition keys, as `condition.normalised` spells them."""
    policy = parse_text(role.trust, "trust")
    concerned = tuple(s for s in policy.statements if not principals.isdisjoint(s.principals))
    return bool(Policy(concerned).decide("sts:AssumeRole", role.arn, MappingContext(context)))


def _trusts_caller(role: Role, caller: _Caller, external_id: str | None) -> bool:
    principals = {f"RAM acs:ram::{caller.key.account}:root", f"RAM {caller.arn}"}
    if caller.session is not None:
        principals.add(f"RAM acs:ram::{caller.session.account}:role/{caller.session.role}")
    return trusts(role, frozenset(principals), {} if external_id is None else {"sts:externalid": external_id})


def _trusts_token(role: Role, provider: OidcProvider, claims: Claims) -> bool:
    principals = frozenset({f"Federated {provider.arn}"})
    known = {"oidc:iss": claims.issuer, "oidc:sub": claims.subject}
    accepted = [audience for audience in claims.audiences if audience in provider.client_ids]
    return any(trusts(role, principals, {**known, "oidc:aud": audience}) for audience in accepted)


def _checked(token: str, provider: OidcProvider, now: float) -> Claims:
    try:
        return check_token(token, provider, now)
    except TokenExpired as error:
        raise _Refused(400, "AuthenticationFail.OIDCToken.Expired", "This JWT Token is expired.") from error
    except TokenError as error:
        raise _Refused(400, "AuthenticationFail.OIDCToken.Invalid", f"This JWT Token is invalid: {error}") from error
    except MissingDependency as error:
        raise _Refused(500, "InternalError", str(error)) from error


def _moment(text: str) -> float | None:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _response(status: int, answer: Answer, name: str, request_id: str, *, json_wanted: bool) -> Response:
    body = json.dumps(answer).encode() if json_wanted else _xml(name, answer)
    headers = {
        "Content-Type": f"{'application/json' if json_wanted else 'text/xml'};charset=utf-8",
        "Content-Length": str(len(body)),
        "x-acs-request-id": request_id,
    }
    return Response(status, headers, body)


def _xml(root: str, answer: Mapping[str, object]) -> bytes:
    document = Document(root)
    for name, value in answer.items():
        if isinstance(value, Mapping):
            document.open(name)
            document.leaves(value)
            document.close()
        else:
            document.leaf(name, str(value))
    return document.bytes()
