"""Who signed a request: finds the signature (header or URL; OSS versions 1, 2 and 4, AWS versions 2 and 4) and the
security token, recomputes it and names each failure as the service does.

Decides identity only; what an identity may do is the business of `permission`. Any thread; no state but caches of pure
functions.
"""

from __future__ import annotations

import calendar
import functools
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple, NoReturn, Protocol

from osscloud.accounts import AccessKey, Accounts, Session
from osscloud.addressing import Address
from osscloud.clock import Clock
from osscloud.errors import OssError
from osscloud.message import Request, as_header
from osscloud.signing import aws, v1, v2, v4

__all__ = ["ANONYMOUS", "Identity", "Limits", "authenticate", "authenticate_form", "speaks_s3"]

Scheme = Literal["", "V1", "V2", "V4", "AWS2", "AWS4"]

MAX_URL_SECONDS = 604_800

_TOKEN_PARAMETERS = ("security-token", "x-oss-security-token", "X-Amz-Security-Token", "x-amz-security-token")


class Limits(Protocol):
    """The part of `ServiceConfig` that authentication needs."""

    @property
    def region(self) -> str: ...
    @property
    def max_skew_seconds(self) -> int: ...


class Identity(NamedTuple):
    """Who sent a request. account: owner id; both ids are "" for an anonymous request. in_url: the signature was in the
    query, not in the Authorization header. user: name of the RAM user that signed, session: of a role that signed; with
    neither it is the account itself."""

    access_key_id: str
    account: str
    anonymous: bool = False
    scheme: Scheme = ""
    in_url: bool = False
    user: str = ""
    session: Session | None = None


ANONYMOUS = Identity("", "", anonymous=True)


def speaks_s3(request: Request) -> bool:
    """True when the request carries an AWS signature, which is what makes the service answer in S3's dialect."""
    if request.headers.get("authorization", "").startswith(("AWS4-HMAC-SHA256", "AWS ")):
        return True
    target = request.target
    if "?" not in target:
        return False
    return "X-Amz-Signature=" in target or "X-Amz-Algorithm=" in target or "AWSAccessKeyId=" in target


def authenticate(request: Request, address: Address, accounts: Accounts, clock: Clock, config: Limits) -> Identity:
    """The identity behind a request, ANONYMOUS when it carries no signature at all.

    Raises OssError: InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied (no date, expired or
    incomplete URL), InvalidArgument (malformed, two signatures, two tokens, wrong region), InvalidSecurityToken,
    SecurityTokenExpired, AccessKeyIdAndSecurityTokenNotMatch."""
    authorization = request.headers.get("authorization", "")
    params = address.params
    if not authorization and not params:
        return ANONYMOUS
    query_scheme = _scheme_in_query(params) if params else ""
    if authorization and query_scheme:
        raise OssError(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the query string or the Authorization header should be specified.",
            extras={"ArgumentName": "Authorization", "ArgumentValue": authorization},
        )
    check = _Check(request, address, accounts, clock, config)
    if authorization:
        if authorization.startswith("OSS "):
            return check.v1_header(authorization)
        if authorization.startswith(v4.ALGORITHM + " "):
            return check.v4_header(authorization)
        if authorization.startswith(aws.ALGORITHM + " "):
            return check.aws4_header(authorization)
        if authorization.startswith("AWS "):
            return check.aws2_header(authorization)
        if authorization.startswith(v2.ALGORITHM + " "):
            return check.v2_header(authorization)
        _malformed(authorization)
    if query_scheme == "V1":
        return check.v1_url()
    if query_scheme == "V4":
        return check.v4_url()
    if query_scheme == "AWS4":
        return check.aws4_url()
    if query_scheme == "AWS2":
        return check.aws2_url()
    if query_scheme == "V2":
        return check.v2_url()
    return ANONYMOUS


def authenticate_form(
    fields: Mapping[str, str], request: Request, accounts: Accounts, clock: Clock, config: Limits
) -> Identity:
    """The identity behind a PostObject form, ANONYMOUS when it is not signed. fields: lower-case names.

    Raises OssError as `authenticate` does; InvalidArgument without a policy."""
    check_with = next((check for field, check in _FORMS.items() if field in fields), None)
    if check_with is None:
        return ANONYMOUS
    policy = fields.get("policy", "")
    if not policy:
        _invalid_parameter("policy", "", "The policy field is missing.", "0002-00000702")
    token = fields.get("x-oss-security-token") or fields.get("x-amz-security-token", "")
    carrier = Request(request.method, request.target, {"x-oss-security-token": token} if token else {})
    check = _Check(carrier, Address("", "", {}, path_style=False), accounts, clock, config)
    return check_with(check, fields, policy)


def _scheme_in_query(params: Mapping[str, str]) -> Scheme:
    if params.get("x-oss-signature-version") == v2.ALGORITHM:
        return "V2"
    if "x-oss-signature-version" in params or "x-oss-signature" in params or "x-oss-credential" in params:
        return "V4"
    if "X-Amz-Signature" in params or "X-Amz-Algorithm" in params:
        return "AWS4"
    if "AWSAccessKeyId" in params:
        return "AWS2"
    if "OSSAccessKeyId" in params or "Signature" in params:
        return "V1"
    return ""


def _malformed(authorization: str, message: str = "Authorization header is invalid.", ec: str = "") -> NoReturn:
    extras = {"ArgumentName": "Authorization", "ArgumentValue": authorization}
    raise OssError("InvalidArgument", message, ec=ec, extras=extras)


def _invalid_parameter(name: str, value: str, message: str, ec: str = "") -> NoReturn:
    raise OssError("InvalidArgument", message, ec=ec, extras={"ArgumentName": name, "ArgumentValue": value})


_ISO_BASIC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)


@functools.lru_cache(maxsize=256)
def _parse_iso(text: str) -> int | None:
    """Seconds since the epoch of "20240306T024816Z"; None for anything else."""
    match = _ISO_BASIC.fullmatch(text)
    if match is None:
        return None
    try:
        return int(datetime(*map(int, match.groups()), tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]
    except ValueError:
        return None


@functools.lru_cache(maxsize=256)
def _parse_date(text: str) -> int | None:
    """Seconds since the epoch of an RFC 1123 date or of "20240306T024816Z"; None for anything else."""
    seconds = _parse_iso(text)
    if seconds is not None:
        return seconds
    try:
        return calendar.timegm(parsedate_to_datetime(text).utctimetuple())
    except (ValueError, TypeError, OverflowError):
        return None


def _whole(text: str) -> int | None:
    """A number of seconds in digits; None for anything else, and for one that no machine counts to."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _xml_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def _fields(text: str) -> dict[str, str] | None:
    """The "Name=value" fields behind the algorithm, in any order, with or without blanks; None when malformed."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not name.isalpha() or name in found:
            return None
        found[name] = value
    return found


class _Check:
    """One request under examination."""

    __slots__ = ("accounts", "address", "config", "headers", "now", "params", "request", "session")

    def __init__(self, request: Request, address: Address, accounts: Accounts, clock: Clock, config: Limits) -> None:
        self.request = request
        self.headers = request.headers
        self.address = address
        self.params = address.params
        self.accounts = accounts
        self.now = clock.now()
        self.config = config
        self.session: Session | None = None

    # Steps that the schemes share.

    def key(self, access_key_id: str) -> AccessKey:
        token = self.token()
        key = self.accounts.find(access_key_id)
        if token or key is None:
            return self.temporary_key(access_key_id, token)
        if key.status == "Disabled":
            raise OssError(
                "InvalidAccessKeyId",
                "The OSS Access Key Id you provided is disabled.",
                extras={"OSSAccessKeyId": access_key_id},
            )
        if key.user and self.accounts.user_of(key) is None:
            raise OssError("InvalidAccessKeyId", extras={"OSSAccessKeyId": access_key_id})
        return key

    def token(self) -> str:
        """The security token, wherever it is; "" when there is none."""
        headers, params = self.headers, self.params
        in_header = (
            headers.get("x-oss-security-token")
            # alibabacloud-oss-v2 for Python names it so when it signs with version 1.
            or headers.get("security-token")
            or headers.get("x-amz-security-token", "")
        )
        if not params:
            return in_header
        in_url = next((params[name] for name in _TOKEN_PARAMETERS if params.get(name)), "")
        if in_header and in_url:
            _invalid_parameter("security-token", in_url, "The security token is given in the header and in the URL.")
        return in_header or in_url

    def temporary_key(self, access_key_id: str, token: str) -> AccessKey:
        """The key of a role session. ECs: vendor documentation, "0002-00000002" and its neighbours."""
        extras = {"OSSAccessKeyId": access_key_id}
        if not token:
            raise OssError("InvalidAccessKeyId", extras=extras)
        session = self.accounts.session(access_key_id)
        if session is None:
            # A token makes it an STS request, and the key did not come from STS.
            raise OssError("InvalidAccessKeyId", ec="0002-00000002", extras=extras)
        if session.token != token:
            if self.accounts.session_of_token(token) is None:
                raise OssError("InvalidSecurityToken", ec="0002-00000006", extras={"SecurityToken": token})
            raise OssError("AccessKeyIdAndSecurityTokenNotMatch", ec="0002-00000004", extras=extras)
        if self.now >= session.expires:
            raise OssError("SecurityTokenExpired", ec="0002-00000007", extras={"SecurityToken": token})
        self.session = session
        return AccessKey(session.access_key_id, session.secret, session.account)

    def identity(self, key: AccessKey, scheme: Scheme, *, in_url: bool = False) -> Identity:
        return Identity(key.id, key.account, False, scheme, in_url, key.user, self.session)

    def fresh(self, seconds: int | None, *, ec: str = "0002-00000504") -> None:
        """Refuses a request without a readable date, or dated too far from now."""
        if seconds is None:
            raise OssError("AccessDenied", "OSS authentication requires a valid Date.", ec="0002-00000505")
        limit = self.config.max_skew_seconds
        if abs(self.now - seconds) > limit:
            raise OssError(
                "RequestTimeTooSkewed",
                ec=ec,
                extras={
                    "MaxAllowedSkewMilliseconds": str(limit * 1000),
                    "RequestTime": _xml_time(seconds),
                    "ServerTime": _xml_time(self.now),
                },
            )

    def expired(self, expires: str, *, ec: str = "0002-00000069") -> NoReturn:
        raise OssError(
            "AccessDenied",
            "Request has expired.",
            ec=ec,
            extras={"Expires": expires, "ServerTime": _xml_time(self.now)},
        )

    def mismatch(self, key: AccessKey, provided: str, text: bytes, *, ec: str, canonical: bytes = b"") -> NoReturn:
        extras = {
            "OSSAccessKeyId": key.id,
            "SignatureProvided": provided,
            "StringToSign": text.decode("utf-8", "replace"),
            "StringToSignBytes": text.hex(" ").upper(),
        }
        if canonical:
            extras["CanonicalRequest"] = canonical.decode("utf-8", "replace")
        raise OssError("SignatureDoesNotMatch", ec=ec, extras=extras)

    # OSS version 1

    def v1_header(self, authorization: str) -> Identity:
        access_key_id, colon, signature = authorization[4:].strip().rpartition(":")
        if not colon or not access_key_id or not signature:
            _malformed(authorization, ec="0002-00000062")
        key = self.key(access_key_id)
        date = self.headers.get("x-oss-date") or self.headers.get("date", "")
        self.fresh(_parse_date(date))
        self.v1_signature(key, signature, date)
        return self.identity(key, "V1")

    def v1_url(self) -> Identity:
        access_key_id, expires, signature = (self.params.get(n) for n in ("OSSAccessKeyId", "Expires", "Signature"))
        if access_key_id is None or expires is None or signature is None:
            raise OssError(
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters",
            )
        until = _whole(expires)
        if until is None:
            message = "Invalid date (should be seconds since epoch)."
            raise OssError("AccessDenied", message, ec="0002-00000070", extras={"Expires": expires})
        if self.now > until:
            self.expired(_xml_time(until))
        key = self.key(access_key_id)
        self.v1_signature(key, signature, expires)
        return self.identity(key, "V1", in_url=True)

    def v1_signature(self, key: AccessKey, signature: str, date: str) -> None:
        text = v1.string_to_sign(self.request, self.address, date)
        if _equal(v1.sign(key.secret, text), signature):
            return
        if not v1.DISPUTED.isdisjoint(self.params):
            shorter = v1.string_to_sign(self.request, self.address, date, v1.DISPUTED)
            if _equal(v1.sign(key.secret, shorter), signature):
                return
        self.mismatch(key, signature, text, ec="0002-00000040")

    # Forms (PostObject): what is signed is the policy

    def v1_form(self, fields: Mapping[str, str], policy: str) -> Identity:
        return self.form_signed_once(fields, policy, fields.get("ossaccesskeyid", ""), "V1")

    def aws2_form(self, fields: Mapping[str, str], policy: str) -> Identity:
        return self.form_signed_once(fields, policy, fields.get("awsaccesskeyid", ""), "AWS2")

    def form_signed_once(self, fields: Mapping[str, str], policy: str, access_key_id: str, scheme: Scheme) -> Identity:
        key = self.key(access_key_id)
        text = policy.encode("utf-8", "surrogateescape")
        signature = fields.get("signature", "")
        if not _equal(v1.sign(key.secret, text), signature):
            self.mismatch(key, signature, text, ec="0002-00000705")
        return self.identity(key, scheme, in_url=True)

    def aws4_form(self, fields: Mapping[str, str], policy: str) -> Identity:
        if fields["x-amz-algorithm"] != aws.ALGORITHM:
            _invalid_parameter("x-amz-algorithm", fields["x-amz-algorithm"], "The signature version is not supported.")
        scope = as_header(fields.get("x-amz-credential", "")).rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[3:] != ["s3", aws.TERMINATOR]:
            _invalid_parameter("x-amz-credential", "/".join(scope), "The credential is invalid.", "0002-00000413")
        timestamp = fields.get("x-amz-date", "")
        if _parse_iso(timestamp) is None or timestamp[:8] != scope[1]:
            _invalid_parameter("x-amz-date", timestamp, "The date is invalid.", "0002-00000415")
        key = self.key(scope[0])
        text = policy.encode("utf-8", "surrogateescape")
        signature = fields.get("x-amz-signature", "")
        if not _equal(v4.sign(aws.signing_key_v4(key.secret, scope[1], scope[2], scope[3]), text), signature):
            self.mismatch(key, signature, text, ec="0002-00000705")
        return self.identity(key, "AWS4", in_url=True)

    def v4_form(self, fields: Mapping[str, str], policy: str) -> Identity:
        scope = fields.get("x-oss-credential", "").rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[3:] != ["oss", v4.TERMINATOR]:
            _invalid_parameter("x-oss-credential", "/".join(scope), "The credential is invalid.")
        if scope[2] != self.config.region:
            _invalid_parameter("x-oss-credential", "/".join(scope), "The signing region in credential is invalid.")
        timestamp = fields.get("x-oss-date", "")
        if _parse_iso(timestamp) is None or timestamp[:8] != scope[1]:
            _invalid_parameter("x-oss-date", timestamp, "The signing date in credential is invalid.")
        key = self.key(scope[0])
        text = policy.encode("utf-8", "surrogateescape")
        signature = fields.get("x-oss-signature", "")
        if not _equal(v4.sign(v4.signing_key(key.secret, scope[1], scope[2], "oss"), text), signature):
            self.mismatch(key, signature, text, ec="0002-00000705")
        return self.identity(key, "V4", in_url=True)

    # OSS version 2

    def v2_header(self, authorization: str) -> Identity:
        fields = dict(part.strip().partition(":")[::2] for part in authorization[len(v2.ALGORITHM) + 1 :].split(","))
        access_key_id, signature = fields.get("AccessKeyId", ""), fields.get("Signature", "")
        if not access_key_id or not signature:
            _malformed(authorization)
        key = self.key(access_key_id)
        date = self.headers.get("x-oss-date") or self.headers.get("date", "")
        self.fresh(_parse_date(date))
        self.v2_signature(key, signature, fields.get("AdditionalHeaders", ""), date)
        return self.identity(key, "V2")

    def v2_url(self) -> Identity:
        names = ("x-oss-access-key-id", "x-oss-expires", "x-oss-signature")
        access_key_id, expires, signature = (self.params.get(name) for name in names)
        if access_key_id is None or expires is None or signature is None:
            raise OssError("AccessDenied", f"Query-string authentication requires the {', '.join(names)} parameters")
        until = _whole(expires)
        if until is None:
            message = "Invalid date (should be seconds since epoch)."
            raise OssError("AccessDenied", message, extras={"Expires": expires})
        if self.now > until:
            self.expired(_xml_time(until))
        key = self.key(access_key_id)
        self.v2_signature(key, signature, as_header(self.params.get("x-oss-additional-headers", "")), expires)
        return self.identity(key, "V2", in_url=True)

    def v2_signature(self, key: AccessKey, signature: str, additional: str, date: str) -> None:
        names = [name.strip().lower() for name in additional.split(";") if name.strip()]
        text = v2.string_to_sign(self.request, self.address, names, date)
        if not _equal(v2.sign(key.secret, text), signature):
            self.mismatch(key, signature, text, ec="0002-00000101")

    # OSS version 4

    def v4_header(self, authorization: str) -> Identity:
        fields = _fields(authorization[len(v4.ALGORITHM) + 1 :])
        if fields is None or not {"Credential", "Signature"} <= fields.keys():
            _malformed(authorization)
        scope = fields["Credential"].rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[4] != v4.TERMINATOR:
            _malformed(authorization, "Invalid credential in Authorization header.")
        access_key_id, date, region, product, _ = scope
        if region != self.config.region:
            _malformed(authorization, "Invalid signing region in Authorization header.", "0002-00000226")
        if product != "oss":
            _malformed(authorization, "Invalid signing product in Authorization header.")
        key = self.key(access_key_id)
        timestamp = self.headers.get("x-oss-date", "")
        seconds = _parse_iso(timestamp) if timestamp else _parse_date(self.headers.get("date", ""))
        self.fresh(seconds)
        if not timestamp and seconds is not None:
            timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        if timestamp[:8] != date:
            _malformed(authorization, "Invalid signing date in Authorization header.")
        self.v4_signature(key, fields["Signature"], fields.get("AdditionalHeaders", ""), timestamp, region)
        return self.identity(key, "V4")

    def v4_url(self) -> Identity:
        params = self.params
        names = ("x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature")
        version, credential, timestamp, expires, signature = (params.get(n) for n in names)
        if version is None or credential is None or timestamp is None or expires is None or signature is None:
            raise OssError(
                "AccessDenied",
                "Query-string authentication requires the x-oss-signature-version, x-oss-credential, x-oss-date, "
                "x-oss-expires and x-oss-signature parameters",
            )
        if version != v4.ALGORITHM:
            _invalid_parameter("x-oss-signature-version", version, "The signature version is not supported.")
        scope = credential.rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[4] != v4.TERMINATOR:
            _invalid_parameter("x-oss-credential", credential, "The credential is invalid.")
        access_key_id, date, region, product, _ = scope
        start = _parse_iso(timestamp)
        if start is None:
            raise OssError("AccessDenied", "OSS authentication requires a valid Date.", ec="0002-00000505")
        if date != timestamp[:8]:
            message = "The signing date in credential is invalid."
            _invalid_parameter("x-oss-credential", credential, message, "0002-00000223")
        if region != self.config.region:
            message = "The signing region in credential is invalid."
            _invalid_parameter("x-oss-credential", credential, message, "0002-00000228")
        if product != "oss":
            _invalid_parameter("x-oss-credential", credential, "The signing product in credential is invalid.")
        seconds = _whole(expires)
        if seconds is None or not 1 <= seconds <= MAX_URL_SECONDS:
            message = f"The validity period must be 1 to {MAX_URL_SECONDS} seconds."
            _invalid_parameter("x-oss-expires", expires, message, "0002-00000232")
        if self.now > start + seconds:
            self.expired(_xml_time(start + seconds))
        if start - self.now > self.config.max_skew_seconds:
            self.fresh(start)
        key = self.key(access_key_id)
        additional = as_header(params.get("x-oss-additional-headers", ""))
        self.v4_signature(key, signature, additional, timestamp, region)
        return self.identity(key, "V4", in_url=True)

    def v4_signature(self, key: AccessKey, signature: str, additional: str, timestamp: str, region: str) -> None:
        names = [name.strip().lower() for name in additional.split(";") if name.strip()] if additional else ()
        payload = self.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
        canonical = v4.canonical_request(self.request, self.address, names, payload)
        date = timestamp[:8]
        text = v4.string_to_sign(timestamp, f"{date}/{region}/oss/{v4.TERMINATOR}", canonical)
        if not _equal(v4.sign(v4.signing_key(key.secret, date, region, "oss"), text), signature):
            self.mismatch(key, signature, text, ec="0002-00000201", canonical=canonical)

    # AWS version 4

    def aws4_header(self, authorization: str) -> Identity:
        fields = _fields(authorization[len(aws.ALGORITHM) + 1 :])
        if fields is None or not {"Credential", "SignedHeaders", "Signature"} <= fields.keys():
            _malformed(authorization, ec="0002-00000406")
        scope = fields["Credential"].rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[3:] != ["s3", aws.TERMINATOR]:
            _malformed(authorization, "Invalid credential in Authorization header.", "0002-00000404")
        key = self.key(scope[0])
        timestamp = self.headers.get("x-amz-date", "")
        seconds = _parse_iso(timestamp) if timestamp else _parse_date(self.headers.get("date", ""))
        self.fresh(seconds)
        if not timestamp and seconds is not None:
            timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        if timestamp[:8] != scope[1]:
            _malformed(authorization, "Invalid signing date in Authorization header.", "0002-00000409")
        payload = self.headers.get("x-amz-content-sha256", "")
        if not payload:
            _invalid_parameter("x-amz-content-sha256", "", "Missing required header for this request.")
        self.aws4_signature(key, fields["Signature"], fields["SignedHeaders"], timestamp, scope)
        self.aws_payload(payload)
        return self.identity(key, "AWS4")

    def aws4_url(self) -> Identity:
        params = self.params
        names = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
        values = [as_header(params.get("X-Amz-" + name, "")) for name in names]
        algorithm, credential, timestamp, expires, signed, signature = values
        if not all(values):
            missing = " and ".join(f"X-Amz-{n}" for n, v in zip(names, values, strict=True) if not v)
            raise OssError("AccessDenied", f"Query-string authentication requires {missing}")
        if algorithm != aws.ALGORITHM:
            _invalid_parameter("X-Amz-Algorithm", algorithm, "The signature version is not supported.")
        scope = credential.rsplit("/", 4)
        if len(scope) != 5 or not all(scope) or scope[3:] != ["s3", aws.TERMINATOR]:
            _invalid_parameter("X-Amz-Credential", credential, "The credential is invalid.", "0002-00000413")
        start = _parse_iso(timestamp)
        if start is None:
            _invalid_parameter("X-Amz-Date", timestamp, "The date is invalid.", "0002-00000415")
        seconds = _whole(expires)
        if seconds is None or not 1 <= seconds <= MAX_URL_SECONDS:
            message = f"The validity period must be 1 to {MAX_URL_SECONDS} seconds."
            _invalid_parameter("X-Amz-Expires", expires, message)
        if self.now > start + seconds:
            self.expired(_xml_time(start + seconds), ec="0002-00000418")
        if start - self.now > self.config.max_skew_seconds:
            self.fresh(start)
        key = self.key(scope[0])
        payload = self.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        self.aws4_signature(key, signature, signed, timestamp, scope)
        self.aws_payload(payload)
        return self.identity(key, "AWS4", in_url=True)

    def aws4_signature(self, key: AccessKey, signature: str, signed: str, timestamp: str, scope: list[str]) -> None:
        names = signed.lower().split(";")
        payload = self.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        canonical = aws.canonical_request_v4(self.request, self.address, names, payload)
        text = aws.string_to_sign_v4(timestamp, "/".join(scope[1:]), canonical)
        if not _equal(v4.sign(aws.signing_key_v4(key.secret, scope[1], scope[2], scope[3]), text), signature):
            self.mismatch(key, signature, text, ec="0002-00000401", canonical=canonical)

    def aws_payload(self, payload: str) -> None:
        """Refuses chunk-signed bodies, as the service does, and a body that is not the one signed."""
        if payload.startswith("STREAMING-"):
            message = "aws-chunked encoding is not supported with the specified x-amz-content-sha256 value."
            _invalid_parameter("Content-Encoding", "aws-chunked", message)
        if payload != "UNSIGNED-PAYLOAD" and hashlib.sha256(self.request.body).hexdigest() != payload:
            raise OssError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                status=400,
                extras={"ClientComputedContentSHA256": payload},
            )

    # AWS version 2

    def aws2_header(self, authorization: str) -> Identity:
        access_key_id, colon, signature = authorization[4:].strip().rpartition(":")
        if not colon or not access_key_id or not signature:
            _malformed(authorization)
        key = self.key(access_key_id)
        date = self.headers.get("x-amz-date", "")
        self.fresh(_parse_date(date or self.headers.get("date", "")), ec="0002-00000501")
        self.aws2_signature(key, signature, "" if date else self.headers.get("date", ""))
        return self.identity(key, "AWS2")

    def aws2_url(self) -> Identity:
        access_key_id, expires, signature = (self.params.get(n) for n in ("AWSAccessKeyId", "Expires", "Signature"))
        if access_key_id is None or expires is None or signature is None:
            raise OssError(
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
                ec="0002-00000301" if expires is None else "",
            )
        until = _whole(expires)
        if until is None:
            message = "Invalid date (should be seconds since epoch)."
            raise OssError("AccessDenied", message, extras={"Expires": expires})
        if self.now > until:
            self.expired(_xml_time(until))
        key = self.key(access_key_id)
        self.aws2_signature(key, signature, expires)
        return self.identity(key, "AWS2", in_url=True)

    def aws2_signature(self, key: AccessKey, signature: str, date: str) -> None:
        text = aws.string_to_sign_v2(self.request, self.address, date)
        if not _equal(v1.sign(key.secret, text), signature):
            self.mismatch(key, signature, text, ec="0002-00000040")


# The field that tells how a form is signed, and what checks it then.
_FORMS: Mapping[str, Callable[[_Check, Mapping[str, str], str], Identity]] = {
    "x-oss-signature-version": _Check.v4_form,
    "ossaccesskeyid": _Check.v1_form,
    "x-amz-algorithm": _Check.aws4_form,
    "awsaccesskeyid": _Check.aws2_form,
}


def _equal(computed: str, provided: str) -> bool:
    return provided.isascii() and hmac.compare_digest(computed, provided)
