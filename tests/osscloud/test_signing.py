"""Signatures: the vendor's signers made the vectors, and each failure has its own answer."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import random
from collections.abc import Mapping
from typing import Any

import pytest

from osscloud.accounts import Accounts
from osscloud.addressing import resolve
from osscloud.clock import VirtualClock
from osscloud.errors import OssError
from osscloud.message import Request
from osscloud.signing.verify import ANONYMOUS, Identity, authenticate

NOW = 1709693296.0  # 2024-03-06T02:48:16Z
DATE = "Wed, 06 Mar 2024 02:48:16 GMT"
STAMP = "20240306T024816Z"
HOST = "bkt.oss-cn-hangzhou.aliyuncs.com"
KEY = "/dir/a%20b%2B%E6%96%87.txt"
SCOPE = "AKIDEXAMPLE/20240306/cn-hangzhou/oss/aliyun_v4_request"


@dataclasses.dataclass(frozen=True)
class Config:
    region: str = "cn-hangzhou"
    domains: tuple[str, ...] = ("localhost", "aliyuncs.com")
    max_skew_seconds: int = 900


def check(request: Request, *, now: float = NOW, **changes: Any) -> Identity:
    accounts = Accounts(random.Random(1))
    key = accounts.create_key(id="AKIDEXAMPLE", secret="SECRETEXAMPLE", account="42")
    if changes.get("disabled"):
        accounts.disable(key.id)
    config = Config()
    return authenticate(request, resolve(request, config, {}), accounts, VirtualClock(now), config)


def refused(request: Request, **changes: Any) -> OssError:
    with pytest.raises(OssError) as caught:
        check(request, **changes)
    return caught.value


def signed_v1(method: str, target: str, signature: str, headers: Mapping[str, str] = {}, host: str = HOST) -> Request:
    base = {"host": host, "date": DATE, "authorization": f"OSS AKIDEXAMPLE:{signature}"}
    return Request(method, target, {**base, **headers})


PUT_HEADERS = {
    "content-type": "text/plain",
    "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==",
    "x-oss-meta-a": "1",
    "x-oss-meta-b": "2",
    "x-oss-storage-class": "IA",
}

V1_VECTORS = {
    "put with headers": signed_v1("PUT", KEY, "ABpruKafvHskzH8Q58tvseT0U4o=", PUT_HEADERS),
    "sub-resources": signed_v1("GET", "/k?versionId=v1&acl&foo=bar", "E6v+6fDPiwZaKvnWRmPW6xmJr0E="),
    "list": signed_v1("GET", "/?prefix=a%2F&max-keys=2&delimiter=%2F", "lStZs2WANFtdFXppZewHgpYp5DI="),
    "service": signed_v1("GET", "/", "e0X6Vk1xnbDpWxULvhFoD0c6Qnk=", host="oss-cn-hangzhou.aliyuncs.com"),
    "path style": signed_v1("GET", "/bkt/?prefix=a", "lStZs2WANFtdFXppZewHgpYp5DI=", host="127.0.0.1:9000"),
    "path style, no slash": signed_v1("GET", "/bkt", "lStZs2WANFtdFXppZewHgpYp5DI=", host="127.0.0.1:9000"),
}


@pytest.mark.parametrize("request_", V1_VECTORS.values(), ids=V1_VECTORS.keys())
def test_version_1_header_of_the_vendors_signer_is_accepted(request_: Request) -> None:
    assert check(request_) == Identity("AKIDEXAMPLE", "42", scheme="V1")


V1_URL = (
    "/k?response-content-type=text%2Fplain&OSSAccessKeyId=AKIDEXAMPLE&Expires=1709696896"
    "&Signature=A9ldoOW4ny7Ub5CbbY7koBMGW8E%3D"
)


def test_version_1_url_of_the_vendors_signer_is_accepted_until_it_expires() -> None:
    request = Request("GET", V1_URL, {"host": HOST})
    assert check(request, now=1709696896) == Identity("AKIDEXAMPLE", "42", scheme="V1", in_url=True)
    error = refused(request, now=1709696897)
    assert (error.status, error.code, error.message) == (403, "AccessDenied", "Request has expired.")
    assert error.ec == "0002-00000069"
    assert error.extras == {"Expires": "2024-03-06T03:48:16.000Z", "ServerTime": "2024-03-06T03:48:17.000Z"}


def test_range_is_not_part_of_a_signed_url() -> None:
    assert check(Request("GET", V1_URL, {"host": HOST, "range": "bytes=0-1"})).in_url


def signed_v4(
    method: str, target: str, signature: str, headers: Mapping[str, str] = {}, *, fields: str = "", scope: str = SCOPE
) -> Request:
    authorization = f"OSS4-HMAC-SHA256 Credential={scope}{fields},Signature={signature}"
    base = {
        "host": HOST,
        "x-oss-date": STAMP,
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "authorization": authorization,
    }
    return Request(method, target, {**base, **headers})


V4_PUT = "b01ac944b44e1366ed45e0ef913c743af6d0229ada14f1df5ac24292a7c2c04b"
V4_LIST = "27e5fb47679c25762023d18e003a988c1dd594505100978fb8a93b1e360ace86"
V4_ACL = "b902227c106b6b8039d39ecc836cc946fcd1f48f177048deb3cb01dcbb1eb3c6"
LIST = "/?prefix=a%2F&max-keys=2&delimiter=%2F"
V4_VECTORS = {
    "put with headers": signed_v4("PUT", KEY, V4_PUT, PUT_HEADERS),
    "list": signed_v4("GET", LIST, V4_LIST),
    "list in path style": signed_v4("GET", "/bkt" + LIST, V4_LIST, {"host": "127.0.0.1"}),
    "additional headers": signed_v4("GET", "/k?acl", V4_ACL, fields=",AdditionalHeaders=host"),
    "blanks and another order": signed_v4(
        "GET",
        "/k?acl",
        "",
        {
            "authorization": f"OSS4-HMAC-SHA256 Credential={SCOPE}, Signature={V4_ACL}, AdditionalHeaders=host",
        },
    ),
}


@pytest.mark.parametrize("request_", V4_VECTORS.values(), ids=V4_VECTORS.keys())
def test_version_4_header_of_the_vendors_signer_is_accepted(request_: Request) -> None:
    assert check(request_) == Identity("AKIDEXAMPLE", "42", scheme="V4")


def v4_url(**changes: str) -> Request:
    params = {
        "versionId": "v1",
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": SCOPE.replace("/", "%2F"),
        "x-oss-date": STAMP,
        "x-oss-expires": "3600",
        "x-oss-signature": "823948cf87717757abcaf2ed91a99019513290fc3b1ab08383a6c4ca00ffe5b4",
    }
    params |= {name.replace("_", "-"): value for name, value in changes.items()}
    return Request("GET", "/k?" + "&".join(f"{k}={v}" for k, v in params.items() if v), {"host": HOST})


def test_version_4_url_of_the_vendors_signer_is_accepted_until_it_expires() -> None:
    assert check(v4_url(), now=NOW + 3600) == Identity("AKIDEXAMPLE", "42", scheme="V4", in_url=True)
    assert refused(v4_url(), now=NOW + 3601).message == "Request has expired."


@pytest.mark.parametrize(
    ("changes", "code", "message", "ec"),
    [
        (
            {"x_oss_credential": SCOPE.replace("cn-hangzhou", "cn-beijing")},
            "InvalidArgument",
            "The signing region in credential is invalid.",
            "0002-00000228",
        ),
        ({"x_oss_credential": "x/y"}, "InvalidArgument", "The credential is invalid.", ""),
        ({"x_oss_expires": "604801"}, "InvalidArgument", None, "0002-00000232"),
        ({"x_oss_expires": "0"}, "InvalidArgument", None, "0002-00000232"),
        ({"x_oss_date": "20240306"}, "AccessDenied", "OSS authentication requires a valid Date.", "0002-00000505"),
        ({"x_oss_date": ""}, "AccessDenied", None, ""),
        ({"x_oss_signature": "00"}, "SignatureDoesNotMatch", None, "0002-00000201"),
        ({"x_oss_credential": SCOPE.replace("0306", "0307")}, "InvalidArgument", None, "0002-00000223"),
        ({"x_oss_signature_version": "OSS9"}, "InvalidArgument", None, ""),
    ],
)
def test_a_version_4_url_is_refused_by_what_is_wrong_with_it(
    changes: dict[str, str], code: str, message: str | None, ec: str
) -> None:
    error = refused(v4_url(**changes))
    assert (error.code, error.ec) == (code, ec)
    assert message is None or error.message == message


def test_an_unsigned_request_is_anonymous() -> None:
    assert check(Request("GET", "/k?prefix=1", {"host": HOST})) is ANONYMOUS
    assert check(Request("GET", "/k", {"host": HOST})) is ANONYMOUS


def test_an_unknown_key_is_refused_by_name() -> None:
    error = refused(Request("GET", "/k", {"host": HOST, "date": DATE, "authorization": "OSS NOBODY:abc="}))
    assert (error.status, error.code, error.ec) == (403, "InvalidAccessKeyId", "0002-00000902")
    assert error.message == "The OSS Access Key Id you provided does not exist in our records."
    assert error.extras == {"OSSAccessKeyId": "NOBODY"}


def test_a_disabled_key_is_refused_with_its_own_message() -> None:
    error = refused(V1_VECTORS["list"], disabled=True)
    assert (error.status, error.code) == (403, "InvalidAccessKeyId")
    assert error.message == "The OSS Access Key Id you provided is disabled."


def test_a_wrong_version_1_signature_shows_what_the_server_signed() -> None:
    error = refused(signed_v1("PUT", KEY, "AAAA", PUT_HEADERS))
    assert (error.status, error.code, error.ec) == (403, "SignatureDoesNotMatch", "0002-00000040")
    text = (
        f"PUT\nXrY7u+Ae7tCTyyK7j1rNww==\ntext/plain\n{DATE}\n"
        "x-oss-meta-a:1\nx-oss-meta-b:2\nx-oss-storage-class:IA\n/bkt/dir/a b+文.txt"
    )
    assert error.extras == {
        "OSSAccessKeyId": "AKIDEXAMPLE",
        "SignatureProvided": "AAAA",
        "StringToSign": text,
        "StringToSignBytes": text.encode().hex(" ").upper(),
    }


def test_a_wrong_version_4_signature_shows_the_canonical_request_too() -> None:
    error = refused(signed_v4("GET", LIST, "ff"))
    assert (error.code, error.ec) == ("SignatureDoesNotMatch", "0002-00000201")
    assert error.extras["CanonicalRequest"] == (
        "GET\n/bkt/\ndelimiter=%2F&max-keys=2&prefix=a%2F\n"
        f"x-oss-content-sha256:UNSIGNED-PAYLOAD\nx-oss-date:{STAMP}\n\n\nUNSIGNED-PAYLOAD"
    )
    assert error.extras["StringToSign"].startswith(f"OSS4-HMAC-SHA256\n{STAMP}\n20240306/cn-hangzhou/oss/")


@pytest.mark.parametrize("request_", [V1_VECTORS["list"], V4_VECTORS["list"]], ids=["V1", "V4"])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_clock_more_than_fifteen_minutes_off_is_named(request_: Request, direction: int) -> None:
    assert check(request_, now=NOW + direction * 900)
    error = refused(request_, now=NOW + direction * 901)
    assert (error.status, error.code, error.ec) == (403, "RequestTimeTooSkewed", "0002-00000504")
    assert error.extras["RequestTime"] == "2024-03-06T02:48:16.000Z"
    assert error.extras["MaxAllowedSkewMilliseconds"] == "900000"
    assert set(error.extras) == {"MaxAllowedSkewMilliseconds", "RequestTime", "ServerTime"}


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Mar 2024 02:48:16 GMT"])
def test_a_missing_or_unreadable_date_is_named(date: str) -> None:
    error = refused(signed_v1("GET", "/k", "x", {"date": date}))
    assert (error.status, error.code) == (403, "AccessDenied")
    assert error.message == "OSS authentication requires a valid Date."
    assert refused(signed_v4("GET", "/k", "x", {"x-oss-date": date})).message == error.message


@pytest.mark.parametrize(
    "authorization",
    ["nonsense", "OSS AKIDEXAMPLE", "OSS :", "OSS4-HMAC-SHA256 Credential=" + SCOPE, "OSS4-HMAC-SHA256 ;;", "Bearer x"],
)
def test_a_malformed_authorization_header_is_an_invalid_argument(authorization: str) -> None:
    error = refused(Request("GET", "/k", {"host": HOST, "date": DATE, "authorization": authorization}))
    assert (error.status, error.code) == (400, "InvalidArgument")
    assert error.message == "Authorization header is invalid."
    assert error.extras["ArgumentName"] == "Authorization"


@pytest.mark.parametrize(
    ("scope", "message", "ec"),
    [
        (SCOPE.replace("cn-hangzhou", "oss-cn-hangzhou"), "Invalid signing region in Authorization header.", "226"),
        (SCOPE.replace("/oss/", "/s3/"), "Invalid signing product in Authorization header.", ""),
        (SCOPE.replace("0306", "0305"), "Invalid signing date in Authorization header.", ""),
        ("AKIDEXAMPLE/20240306", "Invalid credential in Authorization header.", ""),
    ],
)
def test_a_version_4_credential_is_refused_by_what_is_wrong_with_it(scope: str, message: str, ec: str) -> None:
    error = refused(signed_v4("GET", LIST, V4_LIST, scope=scope))
    assert (error.status, error.code, error.message) == (400, "InvalidArgument", message)
    assert error.ec == (f"0002-00000{ec}" if ec else "")


def test_a_url_that_lacks_one_of_its_three_parameters_is_refused() -> None:
    for missing in ("OSSAccessKeyId=A", "Expires=1", "Signature=s"):
        given = {"OSSAccessKeyId=A", "Expires=1", "Signature=s"} - {missing}
        if missing == "Expires=1" or "Expires=1" in given:
            error = refused(Request("GET", "/k?" + "&".join(sorted(given)), {"host": HOST}))
            assert (error.status, error.code) == (403, "AccessDenied")
            assert error.message == (
                "Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters"
            )


def test_expiry_of_a_url_is_checked_before_key_and_signature() -> None:
    error = refused(Request("GET", "/k?OSSAccessKeyId=NOBODY&Expires=1&Signature=x", {"host": HOST}))
    assert error.message == "Request has expired."
    error = refused(Request("GET", "/k?OSSAccessKeyId=NOBODY&Expires=soon&Signature=x", {"host": HOST}))
    assert (error.message, error.ec) == ("Invalid date (should be seconds since epoch).", "0002-00000070")


def test_two_signatures_in_one_request_are_refused() -> None:
    error = refused(Request("GET", V1_URL, {"host": HOST, "date": DATE, "authorization": "OSS AKIDEXAMPLE:x"}))
    assert (error.status, error.code) == (400, "InvalidArgument")


def test_a_security_token_with_a_permanent_key_is_refused() -> None:
    error = refused(signed_v1("GET", "/k", "x", {"x-oss-security-token": "t"}))
    assert (error.code, error.ec) == ("InvalidAccessKeyId", "0002-00000002")
    error = refused(signed_v1("GET", "/k?security-token=t", "x", {"x-oss-security-token": "t"}))
    assert (error.status, error.code) == (400, "InvalidArgument")


def test_every_parameter_that_starts_with_x_oss_is_signed_in_version_1() -> None:
    error = refused(signed_v1("GET", "/k?x-oss-process=image&prefix=a&continuation-token=t", "x"))
    assert str(error.extras["StringToSign"]).endswith("\n/bkt/k?continuation-token=t&x-oss-process=image")


def test_metadata_values_are_signed_as_the_bytes_they_are() -> None:
    value = "文".encode().decode("latin-1")
    error = refused(signed_v1("PUT", "/k", "x", {"x-oss-meta-a": value}))
    assert "x-oss-meta-a:文\n" in error.extras["StringToSign"]


AWS_SCOPE = "AKIDEXAMPLE/20240306/us-east-1/s3/aws4_request"


def aws_url(**changes: str) -> Request:
    params = {
        "Algorithm": "AWS4-HMAC-SHA256",
        "Credential": AWS_SCOPE,
        "Date": STAMP,
        "Expires": "60",
        "SignedHeaders": "host",
        "Signature": "00",
    }
    query = "&".join(f"X-Amz-{name}={value}" for name, value in (params | changes).items() if value)
    return Request("GET", "/k?" + query, {"host": HOST})


@pytest.mark.parametrize(
    ("changes", "status", "code", "ec"),
    [
        ({}, 403, "SignatureDoesNotMatch", "0002-00000401"),
        ({"Credential": AWS_SCOPE.replace("AKIDEXAMPLE", "NOBODY")}, 403, "InvalidAccessKeyId", "0002-00000902"),
        ({"Credential": "AKIDEXAMPLE/us-east-1/s3/aws4_request"}, 400, "InvalidArgument", "0002-00000413"),
        ({"Date": "2024-03-06"}, 400, "InvalidArgument", "0002-00000415"),
        ({"Date": "20240306T010000Z"}, 403, "AccessDenied", "0002-00000418"),
        ({"Date": "20240306T040000Z"}, 403, "RequestTimeTooSkewed", "0002-00000504"),
        ({"Expires": "604801"}, 400, "InvalidArgument", ""),
        ({"Algorithm": "AWS5"}, 400, "InvalidArgument", ""),
        ({"Signature": ""}, 403, "AccessDenied", ""),
    ],
)
def test_a_presigned_aws_url_is_refused_by_what_is_wrong_with_it(
    changes: dict[str, str], status: int, code: str, ec: str
) -> None:
    error = refused(aws_url(**changes))
    assert (error.status, error.code, error.ec) == (status, code, ec)


@pytest.mark.parametrize(
    ("authorization", "code", "ec"),
    [
        ("AWS4-HMAC-SHA256 Credential=x", "InvalidArgument", "0002-00000406"),
        (
            "AWS4-HMAC-SHA256 Credential=a/s3/aws4_request,SignedHeaders=host,Signature=0",
            "InvalidArgument",
            "0002-00000404",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential={AWS_SCOPE.replace('0306', '0305')},SignedHeaders=host,Signature=0",
            "InvalidArgument",
            "0002-00000409",
        ),
        (f"AWS4-HMAC-SHA256 Credential={AWS_SCOPE},SignedHeaders=host,Signature=0", "InvalidArgument", ""),
        ("AWS AKIDEXAMPLE", "InvalidArgument", ""),
        ("AWS AKIDEXAMPLE:x", "SignatureDoesNotMatch", "0002-00000040"),
    ],
)
def test_an_aws_header_is_refused_by_what_is_wrong_with_it(authorization: str, code: str, ec: str) -> None:
    error = refused(Request("GET", "/k", {"host": HOST, "date": DATE, "authorization": authorization}))
    assert (error.code, error.ec) == (code, ec)


def test_a_version_2_aws_url_is_refused_by_what_is_wrong_with_it() -> None:
    def url(query: str) -> OssError:
        return refused(Request("GET", "/k?AWSAccessKeyId=AKIDEXAMPLE&" + query, {"host": HOST}))

    assert (url("Signature=x").code, url("Signature=x").ec) == ("AccessDenied", "0002-00000301")
    assert url("Signature=x&Expires=soon").message == "Invalid date (should be seconds since epoch)."
    assert url("Signature=x&Expires=1").message == "Request has expired."
    assert url("Signature=x&Expires=1709696896").code == "SignatureDoesNotMatch"


def test_a_body_other_than_the_signed_one_is_refused() -> None:
    body, other = b"signed", b"another"
    digest = hashlib.sha256(body).hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    headers = {"host": HOST, "x-amz-date": STAMP, "x-amz-content-sha256": digest}
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    canonical = f"PUT\n/k\n\n{lines}\n{signed}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{STAMP}\n{AWS_SCOPE[12:]}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4SECRETEXAMPLE"
    for part in AWS_SCOPE.split("/")[1:]:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={AWS_SCOPE}, SignedHeaders={signed}, Signature={signature}"
    assert check(Request("PUT", "/k", headers, body)).scheme == "AWS4"
    assert refused(Request("PUT", "/k", headers, other)).code == "XAmzContentSHA256Mismatch"
