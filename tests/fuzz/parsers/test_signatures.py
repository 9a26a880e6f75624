"""Signatures: what was signed is who it says, anything else is one of OSS's refusals."""

from __future__ import annotations

import hashlib
import random
import re
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import TOKENS, damaged, mostly, texts

from osscloud.accounts import Accounts
from osscloud.addressing import Address, resolve
from osscloud.clock import VirtualClock
from osscloud.errors import OssError
from osscloud.message import Request
from osscloud.service import ServiceConfig
from osscloud.signing import aws, v1, v2, v4
from osscloud.signing.verify import Identity, authenticate, authenticate_form
from ossfuse.passwd import Credentials
from ossfuse.signature import sign_v1, sign_v4

CLOCK = VirtualClock()
NOW = int(CLOCK.now())
STAMP = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(NOW))
DATE = formatdate(NOW, usegmt=True)
CONFIG = ServiceConfig()
ID, SECRET = "LTAI5tFuzz", "s/ecret+="
OSS_SCOPE = f"{STAMP[:8]}/{CONFIG.region}/oss/{v4.TERMINATOR}"
AWS_SCOPE = f"{STAMP[:8]}/us-east-1/s3/{aws.TERMINATOR}"


def make_accounts() -> Accounts:
    accounts = Accounts(random.Random(1))
    accounts.create_key(id=ID, secret=SECRET)
    return accounts


ACCOUNTS = make_accounts()


@dataclass(frozen=True)
class Asked:
    """A request before it is signed, as clients hold it: nothing is encoded."""

    method: str
    bucket: str
    key: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def request(self, headers: Mapping[str, str] = {}, params: Mapping[str, str] = {}) -> Request:
        path = quote(f"/{self.bucket}/{self.key}" if self.bucket else "/", safe="/-_.~")
        pairs = (
            f"{quote(name, safe='')}={quote(value, safe='')}" if value else quote(name, safe="")
            for name, value in {**self.params, **params}.items()
        )
        query = "&".join(pairs)
        target = f"{path}?{query}" if query else path
        return Request(self.method, target, {"host": "127.0.0.1", **self.headers, **headers}, self.body)


def address_of(request: Request) -> Address:
    return resolve(request, CONFIG, {})


def check(request: Request) -> Identity:
    with within():
        return authenticate(request, address_of(request), ACCOUNTS, CLOCK, CONFIG)


Signer = Callable[[Asked], Request]


def v1_header(asked: Asked) -> Request:
    request = asked.request({"date": DATE})
    signature = v1.sign(SECRET, v1.string_to_sign(request, address_of(request), DATE))
    return asked.request({"date": DATE, "authorization": f"OSS {ID}:{signature}"})


def v1_url(asked: Asked) -> Request:
    expires = str(NOW + 60)
    request = asked.request()
    signature = v1.sign(SECRET, v1.string_to_sign(request, address_of(request), expires))
    return asked.request(params={"OSSAccessKeyId": ID, "Expires": expires, "Signature": signature})


def v2_header(asked: Asked) -> Request:
    request = asked.request({"date": DATE})
    signature = v2.sign(SECRET, v2.string_to_sign(request, address_of(request), ["host"], DATE))
    line = f"OSS2 AccessKeyId:{ID},AdditionalHeaders:host,Signature:{signature}"
    return asked.request({"date": DATE, "authorization": line})


def v2_url(asked: Asked) -> Request:
    params = {
        "x-oss-signature-version": "OSS2",
        "x-oss-access-key-id": ID,
        "x-oss-expires": str(NOW + 60),
        "x-oss-additional-headers": "host",
    }
    request = asked.request(params=params)
    text = v2.string_to_sign(request, address_of(request), ["host"], params["x-oss-expires"])
    return asked.request(params={**params, "x-oss-signature": v2.sign(SECRET, text)})


def _v4(request: Request, payload: str) -> str:
    canonical = v4.canonical_request(request, address_of(request), ["host"], payload)
    text = v4.string_to_sign(STAMP, OSS_SCOPE, canonical)
    return v4.sign(v4.signing_key(SECRET, STAMP[:8], CONFIG.region, "oss"), text)


def v4_header(asked: Asked) -> Request:
    headers = {"x-oss-date": STAMP, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    signature = _v4(asked.request(headers), "UNSIGNED-PAYLOAD")
    line = f"OSS4-HMAC-SHA256 Credential={ID}/{OSS_SCOPE},AdditionalHeaders=host,Signature={signature}"
    return asked.request({**headers, "authorization": line})


def v4_url(asked: Asked) -> Request:
    params = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-credential": f"{ID}/{OSS_SCOPE}",
        "x-oss-date": STAMP,
        "x-oss-expires": "60",
        "x-oss-additional-headers": "host",
    }
    signature = _v4(asked.request(params=params), "UNSIGNED-PAYLOAD")
    return asked.request(params={**params, "x-oss-signature": signature})


def _aws4(request: Request, names: list[str], payload: str) -> str:
    canonical = aws.canonical_request_v4(request, address_of(request), names, payload)
    text = aws.string_to_sign_v4(STAMP, AWS_SCOPE, canonical)
    return v4.sign(aws.signing_key_v4(SECRET, STAMP[:8], "us-east-1", "s3"), text)


def aws4_header(asked: Asked) -> Request:
    payload = hashlib.sha256(asked.body).hexdigest()
    headers = {"x-amz-date": STAMP, "x-amz-content-sha256": payload}
    names = sorted({"host", *headers, *asked.headers})
    signature = _aws4(asked.request(headers), names, payload)
    line = f"AWS4-HMAC-SHA256 Credential={ID}/{AWS_SCOPE}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return asked.request({**headers, "authorization": line})


def aws4_url(asked: Asked) -> Request:
    params = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{ID}/{AWS_SCOPE}",
        "X-Amz-Date": STAMP,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host",
    }
    signature = _aws4(asked.request(params=params), ["host"], "UNSIGNED-PAYLOAD")
    return asked.request(params={**params, "X-Amz-Signature": signature})


def aws2_header(asked: Asked) -> Request:
    request = asked.request({"date": DATE})
    signature = v1.sign(SECRET, aws.string_to_sign_v2(request, address_of(request), DATE))
    return asked.request({"date": DATE, "authorization": f"AWS {ID}:{signature}"})


def aws2_url(asked: Asked) -> Request:
    expires = str(NOW + 60)
    request = asked.request()
    signature = v1.sign(SECRET, aws.string_to_sign_v2(request, address_of(request), expires))
    return asked.request(params={"AWSAccessKeyId": ID, "Expires": expires, "Signature": signature})


SIGNERS: Mapping[str, Signer] = {
    function.__name__: function
    for function in (
        v1_header, v1_url, v2_header, v2_url, v4_header, v4_url, aws4_header, aws4_url, aws2_header, aws2_url,
    )
}  # fmt: skip

# What every scheme signs, whichever header or parameter it is in. Names of other schemes' parameters would make it two
# signatures.
header_values = mostly(
    st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f\x85\xa0"), max_size=10),
    st.sampled_from(["", "a  b", "\xff\xfe", "a,b;c=d", "a:b"]),
)
names = st.sampled_from(["acl", "uploads", "uploadId", "partNumber", "versionId", "response-expires", "x-oss-process"])
asks = st.builds(
    Asked,
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    st.sampled_from(["", "demo", "a-b-c"]),
    texts,
    st.dictionaries(mostly(names, texts.filter(bool)), texts, max_size=4),
    st.dictionaries(
        st.sampled_from(["content-type", "content-md5", "x-oss-meta-a", "x-oss-acl", "x-amz-meta-b", "x-other"]),
        header_values,
        max_size=4,
    ),
    st.binary(max_size=8),
).map(lambda asked: asked if asked.bucket else replace(asked, key=""))


@budget(165)
@given(scheme=st.sampled_from(sorted(SIGNERS)), asked=asks)
@example(scheme="aws2_url", asked=Asked("GET", "demo", "k", {"x-amz-meta-a": "文"}, {}))
def test_what_is_signed_is_who_signed_it(scheme: str, asked: Asked) -> None:
    identity = check(SIGNERS[scheme](asked))
    assert identity.access_key_id == ID
    assert identity.scheme == scheme.split("_", maxsplit=1)[0].upper()
    assert identity.in_url is scheme.endswith("_url")


@budget(80)
@given(asked=asks, data=st.data())
def test_what_ossfs_signs_is_who_signed_it(asked: Asked, data: st.DataObject) -> None:
    # ossfs signs the parameters that it sends itself, and sends no header without a value.
    known = {"acl", "uploads", "uploadId", "partNumber", "versionId"}
    params = {name: value for name, value in asked.params.items() if name in known}
    headers = {name: value for name, value in asked.headers.items() if value and value.isascii()}
    asked = replace(asked, bucket=asked.bucket or "demo", params=params, headers=headers)
    credentials = Credentials(ID, SECRET)
    parts = (asked.method, asked.bucket, asked.key, params)
    if data.draw(st.booleans()):
        headers |= {"date": DATE}
        line = sign_v1(*parts, headers, credentials)
    else:
        headers |= {"x-oss-date": STAMP, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
        line = sign_v4(*parts, headers, credentials, region=CONFIG.region)
    assert check(asked.request({**headers, "authorization": line})).access_key_id == ID


def refused(request: Request) -> bool:
    """True for one of OSS's errors with a status below 500; any other exception passes."""
    try:
        identity = check(request)
    except OssError as error:
        assert 400 <= error.status < 500
        return True
    return identity.anonymous


@budget(130)
@given(scheme=st.sampled_from(sorted(SIGNERS)), asked=asks, data=st.data())
def test_one_changed_character_of_what_is_signed_is_refused(scheme: str, asked: Asked, data: st.DataObject) -> None:
    request = SIGNERS[scheme](replace(asked, bucket=asked.bucket or "demo", key=asked.key + "k"))
    path, mark, query = request.target.partition("?")
    match data.draw(st.sampled_from(["method", "key", "signature", "header"])):
        case "method":
            changed = replace(request, method=data.draw(st.sampled_from(["PATCH", "get", "OPTIONS"])))
        case "key":
            changed = replace(
                request, target=path + data.draw(st.sampled_from("ab/%.")).replace("%", "%25") + mark + query
            )
        case "signature":
            changed = _one_character(request, data)
        case _:
            name = "x-amz-meta-z" if scheme.startswith("aws2") else "x-oss-meta-z"
            # Version 4 of AWS signs the headers that it names.
            assume(not scheme.startswith("aws4"))
            changed = replace(request, headers={**request.headers, name: "new"})
    assert refused(changed)


def _one_character(request: Request, data: st.DataObject) -> Request:
    """Another character in the signature or in the id of the key."""
    line = request.headers.get("authorization", "")
    text = line or request.target
    start = re.search(r"(?:[Ss]ignature[=:]|^(?:OSS|AWS) [^:]*:)(?!.*[Ss]ignature[=:])", text)
    assert start is not None
    place = (start.end() if data.draw(st.booleans()) else text.find(ID)) + data.draw(st.integers(0, 8))
    other = data.draw(st.sampled_from([character for character in "0aZ9" if character != text[place]]))
    text = text[:place] + other + text[place + 1 :]
    return (
        replace(request, headers={**request.headers, "authorization": text}) if line else replace(request, target=text)
    )


DIGITS = "".join(chr(0x660 + int(digit)) if digit.isdigit() else digit for digit in STAMP)


@st.composite
def broken(draw: st.DrawFn) -> Request:
    """A signed request with anything changed: parameters, headers, the header Authorization itself."""
    scheme = draw(st.sampled_from(sorted(SIGNERS)))
    request = SIGNERS[scheme](draw(asks))
    headers = dict(request.headers)
    for name in draw(st.lists(st.sampled_from(sorted(headers)), max_size=2)):
        value = draw(damaged(st.just(headers[name])) | st.sampled_from(["", STAMP, DATE, DIGITS]))
        headers[name] = value.encode().decode("latin-1")
    address = address_of(request)
    params = dict(address.params)
    for name in draw(st.lists(st.sampled_from(sorted(params)), max_size=2)) if params else ():
        params[name] = draw(damaged(st.just(params[name])) | st.sampled_from([*TOKENS, STAMP, DIGITS]))
    for name in draw(
        st.lists(st.sampled_from(["x-amz-meta-a", "security-token", "x-oss-additional-headers"]), max_size=1)
    ):
        params[name] = draw(texts)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items())
    path = request.target.partition("?")[0]
    return replace(request, target=f"{path}?{query}" if query else path, headers=headers)


@budget(265)
@given(request=broken())
def test_whatever_is_wrong_with_a_signature_is_an_error_of_oss(request: Request) -> None:
    refused(request)


# Forms


def form_fields(scheme: str, policy: str) -> dict[str, str]:
    text = policy.encode()
    match scheme:
        case "V1":
            return {"policy": policy, "ossaccesskeyid": ID, "signature": v1.sign(SECRET, text)}
        case "AWS2":
            return {"policy": policy, "awsaccesskeyid": ID, "signature": v1.sign(SECRET, text)}
        case "V4":
            key = v4.signing_key(SECRET, STAMP[:8], CONFIG.region, "oss")
            return {
                "policy": policy,
                "x-oss-signature-version": v4.ALGORITHM,
                "x-oss-credential": f"{ID}/{OSS_SCOPE}",
                "x-oss-date": STAMP,
                "x-oss-signature": v4.sign(key, text),
            }
    key = aws.signing_key_v4(SECRET, STAMP[:8], "us-east-1", "s3")
    return {
        "policy": policy,
        "x-amz-algorithm": aws.ALGORITHM,
        "x-amz-credential": f"{ID}/{AWS_SCOPE}",
        "x-amz-date": STAMP,
        "x-amz-signature": v4.sign(key, text),
    }


policies = st.binary(min_size=1, max_size=30).map(lambda raw: b64encode(raw).decode())
FORM = Request("POST", "/", {})


@budget(100)
@given(
    scheme=st.sampled_from(["V1", "AWS2", "V4", "AWS4"]),
    policy=policies,
    changes=st.dictionaries(st.integers(0, 4), texts | st.just(DIGITS), max_size=2),
)
def test_a_form_is_signed_by_its_policy_alone(scheme: str, policy: str, changes: dict[int, str]) -> None:
    fields = form_fields(scheme, policy)
    assert authenticate_form(fields, FORM, ACCOUNTS, CLOCK, CONFIG).access_key_id == ID
    names = sorted(fields)
    broken = fields | {names[place % len(names)]: value for place, value in changes.items()}
    try:
        with within():
            identity = authenticate_form(broken, FORM, ACCOUNTS, CLOCK, CONFIG)
    except OssError as error:
        assert 400 <= error.status < 500
    else:
        assert {**broken, "x-oss-signature-version": ""} == {
            **fields,
            "x-oss-signature-version": "",
        } or identity.anonymous


# Found by the targets above


@pytest.mark.parametrize(
    ("scheme", "params"),
    [
        ("v1_url", {"Expires": "9" * 5000}),
        ("v2_url", {"x-oss-expires": "9" * 5000}),
        ("v4_url", {"x-oss-expires": "9" * 5000}),
        ("aws4_url", {"X-Amz-Expires": "9" * 5000}),
        ("aws2_url", {"Expires": "9" * 5000}),
        ("v2_url", {"x-oss-additional-headers": "文"}),
        ("v4_url", {"x-oss-additional-headers": "文"}),
        ("v4_url", {"x-oss-date": DIGITS, "x-oss-credential": f"{ID}/{DIGITS[:8]}/cn-hangzhou/oss/{v4.TERMINATOR}"}),
        ("aws4_url", {"X-Amz-SignedHeaders": "文"}),
        ("aws4_url", {"X-Amz-Credential": f"{ID}/{STAMP[:8]}/文/s3/{aws.TERMINATOR}"}),
        ("aws2_url", {"x-amz-meta-a": "文"}),
    ],
)
def test_parameters_that_no_client_writes_are_refused_as_any_others(scheme: str, params: dict[str, str]) -> None:
    request = SIGNERS[scheme](Asked("GET", "demo", "k", {}, {}))
    known = address_of(request).params | params
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in known.items())
    assert refused(replace(request, target=f"/demo/k?{query}"))
