"""STS as its clients meet it: who may assume what, how a refusal is worded, and what the credentials are good for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from defusedxml.ElementTree import fromstring

from osscloud.accounts import DEFAULT_ACCOUNT, AccessKey
from osscloud.clock import VirtualClock
from osscloud.message import Request, Response
from osscloud.oidc import Issuer, MissingDependency
from osscloud.ram.entity import Role, Session
from osscloud.service import OssService

if TYPE_CHECKING:
    from conftest import Answer, Client

ROLE = f"acs:ram::{DEFAULT_ACCOUNT}:role/reader"
CLUSTER = "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/c1"
SUBJECT = "system:serviceaccount:ack-csi-fuse:csi-fuse-ossfs"
PROVIDER = f"acs:ram::{DEFAULT_ACCOUNT}:oidc-provider/ack-rrsa-c1"


def allow(action: str, resource: str = "*") -> dict[str, object]:
    return {"Version": "1", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


def trust(principal: Mapping[str, object], condition: Mapping[str, object] | None = None) -> dict[str, object]:
    entry: dict[str, object] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return {"Version": "1", "Statement": [entry | ({"Condition": condition} if condition else {})]}


class Sts:
    """Sends signed RPC requests as a RAM user's key (or another) would."""

    def __init__(self, oss: OssService, clock: VirtualClock, key: AccessKey) -> None:
        self.oss = oss
        self.clock = clock
        self.key = key
        self.nonce = 0

    def sign(self, method: str, params: Mapping[str, str]) -> dict[str, str]:
        self.nonce += 1
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.now()))
        signed = {
            "Version": "2015-04-01",
            "Format": "JSON",
            "AccessKeyId": self.key.id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": f"n{self.nonce}",
            "Timestamp": stamp,
            **params,
        }
        query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(signed.items()))
        text = f"{method}&%2F&{quote(query, safe='')}"
        digest = hmac.new((self.key.secret + "&").encode(), text.encode(), hashlib.sha1).digest()
        return {**signed, "Signature": base64.b64encode(digest).decode()}

    def send(self, method: str, params: Mapping[str, str], host: str = "127.0.0.1:8080") -> Response:
        text = urlencode(params)
        if method == "GET":
            return self.oss.handle(Request("GET", "/?" + text, {"host": host}))
        headers = {"host": host, "content-type": "application/x-www-form-urlencoded"}
        return self.oss.handle(Request("POST", "/", headers, text.encode()))

    def call(self, action: str, method: str = "GET", /, **params: str) -> tuple[int, dict[str, object]]:
        answer = self.send(method, self.sign(method, {"Action": action, **params}))
        return answer.status, json.loads(answer.read())

    def assume(self, **params: str) -> tuple[int, dict[str, object]]:
        return self.call("AssumeRole", **{"RoleArn": ROLE, "RoleSessionName": "session-1", **params})

    def session(self, **params: str) -> Session:
        status, answer = self.assume(**params)
        assert status == 200, answer
        return session_of(self.oss, answer)


def role_of(oss: OssService, name: str) -> Role:
    role = oss.accounts.ram.role(name)
    assert role is not None
    return role


def session_of(oss: OssService, answer: Mapping[str, object]) -> Session:
    credentials = answer["Credentials"]
    assert isinstance(credentials, dict)
    session = oss.accounts.session(credentials["AccessKeyId"])
    assert session is not None
    assert (session.secret, session.token) == (credentials["AccessKeySecret"], credentials["SecurityToken"])
    return session


@pytest.fixture
def sts(oss: OssService, clock: VirtualClock) -> Sts:
    """The key of a user who may assume the role "reader", which may read "demo"."""
    ram = oss.accounts.ram
    ram.create_user("app", policies=["AliyunSTSAssumeRoleAccess"])
    ram.create_role(
        "reader", trust({"RAM": [f"acs:ram::{DEFAULT_ACCOUNT}:root"]}), policies=["AliyunOSSReadOnlyAccess"]
    )
    return Sts(oss, clock, oss.accounts.create_key(user="app"))


Borrow = Callable[[Session], "Callable[..., Answer]"]


@pytest.fixture
def borrow(client: Client, client_of: Callable[..., Client]) -> Borrow:
    """Sends requests for "demo" with the credentials of a session."""

    def make(session: Session) -> Callable[..., Answer]:
        borrowed = client_of()
        borrowed.key = AccessKey(session.access_key_id, session.secret, session.account)

        def send(method: str, key: str = "", headers: Mapping[str, str] = {}, **options: object) -> Answer:
            sent = {"x-oss-security-token": session.token, **headers}
            return borrowed.send(method, key, headers=sent, **options)  # type: ignore[arg-type]

        return send

    return make


def test_credentials_of_a_role_may_what_the_role_may(client: Client, sts: Sts, borrow: Borrow) -> None:
    client.put("k", b"x")
    status, answer = sts.assume()
    assert status == 200
    assert answer["AssumedRoleUser"]["Arn"] == f"acs:sts::{DEFAULT_ACCOUNT}:assumed-role/reader/session-1"  # type: ignore[index]
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("STS.")  # type: ignore[index]
    assert credentials["Expiration"] == "2024-09-03T01:00:00Z"  # type: ignore[index]
    send = borrow(session_of(sts.oss, answer))
    assert send("GET", "k").body == b"x"
    refused = send("PUT", "k")
    assert (refused.status, refused.text("AccessDeniedDetail/AuthPrincipalType")) == (403, "AssumedRoleUser")
    assert refused.text("AccessDeniedDetail/AuthPrincipalDisplayName") == "reader:session-1"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_come_in_the_query_or_in_a_form(sts: Sts, method: str) -> None:
    params = {"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "s@1"}
    answer = sts.send(method, sts.sign(method, params))
    assert answer.status == 200
    assert answer.header("content-type").startswith("application/json")


def test_answers_are_xml_unless_json_is_wanted(sts: Sts) -> None:
    params = {"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "s1", "Format": "XML"}
    root = fromstring(sts.send("GET", sts.sign("GET", params)).read())
    assert root.tag == "AssumeRoleResponse"
    assert (root.findtext("Credentials/AccessKeyId") or "").startswith("STS.")
    root = fromstring(sts.send("GET", sts.sign("GET", {**params, "RoleArn": "x"})).read())
    assert (root.tag, root.findtext("Code")) == ("Error", "InvalidParameter.RoleArn")


def test_the_host_of_sts_is_sts_whatever_is_asked(sts: Sts) -> None:
    for host in ("sts.aliyuncs.com", "sts-vpc.cn-hangzhou.aliyuncs.com", "sts.cn-beijing.aliyuncs.com:443"):
        answer = sts.oss.handle(Request("GET", "/", {"host": host}))
        assert (answer.status, b"<Code>InvalidVersion</Code>" in answer.read()) == (400, True)


def test_requests_to_oss_are_not_taken_for_sts(client: Client, oss: OssService) -> None:
    oss.admin.create_bucket("sts")
    for host, target in [
        ("sts.oss-cn-hangzhou.aliyuncs.com", "/?Action=AssumeRole"),
        ("sts.localhost", "/?max-keys=1"),
        ("127.0.0.1", "/demo/?Action=AssumeRole&Version=2015-04-01"),
        ("127.0.0.1", "/?Version=2015-04-01"),
    ]:
        answer = oss.handle(Request("GET", target, {"host": host}))
        assert answer.header("Server") == "AliyunOSS", target


def test_sts_is_not_in_the_access_log_but_has_one_of_its_own(sts: Sts) -> None:
    mark = sts.oss.access_log.mark()
    sts.session()
    sts.assume(RoleArn=ROLE + "x")
    assert sts.oss.access_log.mark() == mark
    good, bad = sts.oss.sts.calls
    assert (good.action, good.status, good.code, good.caller) == ("AssumeRole", 200, "", sts.key.id)
    assert (bad.status, bad.code, bad.role_arn) == (404, "EntityNotExist.Role", ROLE + "x")


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"RoleArn": ""}, 400, "MissingRoleArn"),
        ({"RoleArn": "acs:ram::x:role/reader"}, 400, "InvalidParameter.RoleArn"),
        ({"RoleSessionName": ""}, 400, "MissingRoleSessionName"),
        ({"RoleSessionName": "a"}, 400, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": "abc*"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "3601"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "an hour"}, 400, "InvalidParameter.DurationSeconds"),
        ({"Policy": "{}"}, 400, "InvalidParameter.PolicyGrammar"),
        ({"Policy": "x" * 2049}, 400, "InvalidParameter.PolicySize"),
        ({"RoleArn": f"acs:ram::{DEFAULT_ACCOUNT}:role/nobody"}, 404, "EntityNotExist.Role"),
        ({"RoleArn": "acs:ram::42:role/reader"}, 404, "EntityNotExist.Role"),
        ({"Version": "2014-11-11"}, 400, "InvalidVersion"),
        ({"Timestamp": "2024-09-03T00:15:01Z"}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format"),
        ({"SignatureMethod": "HMAC-MD5"}, 400, "InvalidSignatureMethod"),
        ({"SignatureNonce": ""}, 400, "MissingSignatureNonce"),
        ({"AccessKeyId": ""}, 400, "MissingAccessKeyId"),
        ({"AccessKeyId": "LTAInobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"SecurityToken": "t"}, 404, "InvalidAccessKeyId.NotFound"),
    ],
)
def test_each_mistake_has_its_code(sts: Sts, params: dict[str, str], status: int, code: str) -> None:
    call = {"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "s1", **params}
    answer = sts.send("GET", sts.sign("GET", call), host="sts.aliyuncs.com")
    document = json.loads(answer.read())
    assert (answer.status, document["Code"]) == (status, code)
    assert document["RequestId"]
    assert document["HostId"] == "sts.aliyuncs.com"
    assert document["Message"]


def test_unknown_actions_and_verbs_are_refused(sts: Sts) -> None:
    assert sts.call("AssumeEverything")[1]["Code"] == "InvalidAction.NotFound"
    answer = sts.oss.handle(Request("PUT", "/", {"host": "sts.aliyuncs.com"}))
    assert answer.status == 405


def test_the_secret_is_checked_and_a_nonce_serves_once(sts: Sts) -> None:
    params = sts.sign("GET", {"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "s1"})
    wrong = {**params, "RoleSessionName": "s2"}
    document = json.loads(sts.send("GET", wrong).read())
    assert document["Code"] == "SignatureDoesNotMatch"
    assert "server string to sign is:GET&%2F&AccessKeyId%3D" in document["Message"]
    assert sts.send("GET", params).status == 200
    assert json.loads(sts.send("GET", params).read())["Code"] == "SignatureNonceUsed"
    sts.clock.advance(3600)
    assert sts.assume()[0] == 200


def test_a_disabled_key_and_one_of_the_account_itself_assume_nothing(sts: Sts) -> None:
    sts.oss.accounts.disable(sts.key.id)
    assert sts.assume()[1]["Code"] == "InvalidAccessKeyId.Inactive"
    sts.key = sts.oss.accounts.create_key()
    status, answer = sts.assume()
    assert (status, answer["Code"]) == (403, "NoPermission")
    assert answer["Message"] == "Roles may not be assumed by root accounts."


def test_both_the_users_policy_and_the_roles_trust_are_needed(sts: Sts) -> None:
    ram = sts.oss.accounts.ram
    ram.set_user_policies("app", [allow("sts:AssumeRole", f"acs:ram:*:{DEFAULT_ACCOUNT}:role/other")])
    status, answer = sts.assume()
    assert (status, answer["Code"]) == (403, "NoPermission")
    assert answer["Message"] == "You are not authorized to do this action. You should be authorized by RAM."
    ram.set_user_policies("app", [allow("sts:AssumeRole", ROLE)])
    assert sts.assume()[0] == 200
    ram.delete_role("reader")
    ram.create_role("reader", trust({"RAM": [f"acs:ram::{DEFAULT_ACCOUNT}:user/somebody"]}))
    assert sts.assume()[0] == 403
    ram.delete_role("reader")
    ram.create_role("reader", trust({"RAM": [f"acs:ram::{DEFAULT_ACCOUNT}:user/app"]}))
    assert sts.assume()[0] == 200


def test_a_role_may_ask_for_an_external_id(sts: Sts) -> None:
    ram = sts.oss.accounts.ram
    condition = {"StringEquals": {"sts:ExternalId": "abc"}}
    ram.create_role("partner", trust({"RAM": f"acs:ram::{DEFAULT_ACCOUNT}:root"}, condition), account="42")
    arn = "acs:ram::42:role/partner"
    assert sts.assume(RoleArn=arn)[0] == 403
    assert sts.assume(RoleArn=arn, ExternalId="abd")[0] == 403
    assert sts.assume(RoleArn=arn, ExternalId="abc")[0] == 200


def test_a_role_session_assumes_further_roles_with_its_token(sts: Sts) -> None:
    ram = sts.oss.accounts.ram
    ram.set_role_policies("reader", ["AliyunSTSAssumeRoleAccess"])
    ram.create_role("next", trust({"RAM": [ROLE]}), max_session_seconds=43200)
    session = sts.session()
    sts.key = AccessKey(session.access_key_id, session.secret, session.account)
    arn = ROLE.replace("reader", "next")
    assert sts.assume(RoleArn=arn)[1]["Code"] == "MissingSecurityToken"
    assert sts.assume(RoleArn=arn, SecurityToken="x")[1]["Code"] == "InvalidSecurityToken.MismatchWithAccessKey"
    assert sts.assume(RoleArn=arn, SecurityToken=session.token)[0] == 200
    narrow = sts.oss.accounts.open_session(
        role_of(sts.oss, "reader"), "narrow", policy=json.dumps(allow("oss:*")), expires=1e12, now=sts.clock.now()
    )
    sts.key = AccessKey(narrow.access_key_id, narrow.secret, narrow.account)
    assert sts.assume(RoleArn=arn, SecurityToken=narrow.token)[1]["Code"] == "NoPermission"
    sts.key = AccessKey(session.access_key_id, session.secret, session.account)
    # A chain of roles ends after an hour, whatever the role allows others.
    long = sts.assume(RoleArn=arn, SecurityToken=session.token, DurationSeconds="7200")
    assert long[1]["Code"] == "InvalidParameter.DurationSeconds"
    sts.clock.advance(3600)
    assert sts.assume(RoleArn=arn, SecurityToken=session.token)[1]["Code"] == "InvalidSecurityToken.Expired"


def test_a_session_policy_narrows_the_role(client: Client, sts: Sts, borrow: Borrow) -> None:
    client.put("a/k", b"x")
    client.put("b", b"x")
    policy = json.dumps(allow("oss:*", "acs:oss:*:*:demo/a/*"))
    send = borrow(sts.session(Policy=policy))
    assert send("GET", "a/k").status == 200
    refused = send("GET", "b")
    assert (refused.status, refused.text("EC")) == (403, "0003-00000301")
    assert refused.text("Message") == "Access denied by authorizer's policy."
    assert refused.text("AccessDeniedDetail/PolicyType") == "SessionPolicy"
    assert refused.text("AccessDeniedDetail/NoPermissionType") == "ImplicitDeny"
    # What the role may not do the session policy does not give.
    refused = send("PUT", "a/k")
    assert refused.text("AccessDeniedDetail/PolicyType") == "AccountLevelIdentityBasedPolicy"
    assert send("GET", "", bucket="").text("EC") == "0003-00000301"


def test_a_bucket_policy_names_a_role_or_one_of_its_sessions(client: Client, sts: Sts, borrow: Borrow) -> None:
    client.put("k", b"x")
    sts.oss.accounts.ram.set_role_policies("reader", [])
    first, second = borrow(sts.session()), borrow(sts.session(RoleSessionName="session-2"))
    for principal, statuses in [
        (f"arn:sts::{DEFAULT_ACCOUNT}:assumed-role/reader/session-1", (200, 403)),
        (f"arn:sts::{DEFAULT_ACCOUNT}:assumed-role/reader/*", (200, 200)),
        (f"acs:ram::{DEFAULT_ACCOUNT}:role/reader", (200, 200)),
        (DEFAULT_ACCOUNT, (403, 403)),
    ]:
        entry = {"Effect": "Allow", "Action": "oss:GetObject", "Resource": "acs:oss:*:*:demo/*", "Principal": principal}
        body = json.dumps({"Version": "1", "Statement": [entry]}).encode()
        assert client.send("PUT", "", {"policy": ""}, body=body).status == 200
        assert (first("GET", "k").status, second("GET", "k").status) == statuses, principal


def test_tokens_expire_with_the_clock(client: Client, sts: Sts, borrow: Borrow, clock: VirtualClock) -> None:
    client.put("k", b"x")
    session = sts.session(DurationSeconds="900")
    send = borrow(session)
    clock.advance(899)
    assert send("GET", "k").status == 200
    clock.advance(1)
    refused = send("GET", "k")
    assert (refused.status, refused.code, refused.text("EC")) == (403, "SecurityTokenExpired", "0002-00000007")
    clock.advance(100_000)
    sts.session()
    refused = send("GET", "k")
    assert (refused.code, refused.text("EC")) == ("InvalidAccessKeyId", "0002-00000002")


def test_a_token_belongs_to_one_key_and_is_given_once(client: Client, sts: Sts, borrow: Borrow) -> None:
    session, other = sts.session(), sts.session()
    send = borrow(session)
    for token, code, ec in [
        ("CAISnonsense", "InvalidSecurityToken", "0002-00000006"),
        (session.token[:-4] + "AAAA", "InvalidSecurityToken", "0002-00000006"),
        ("é".encode().decode("latin-1"), "InvalidSecurityToken", "0002-00000006"),
        (other.token, "AccessKeyIdAndSecurityTokenNotMatch", "0002-00000004"),
        ("", "InvalidAccessKeyId", "0002-00000902"),
    ]:
        refused = send("GET", "k", {"x-oss-security-token": token})
        assert (refused.status, refused.code, refused.text("EC")) == (403, code, ec)
    twice = send("GET", "k", params={"security-token": session.token})
    assert (twice.status, twice.code) == (400, "InvalidArgument")
    permanent = client.get("k", {"x-oss-security-token": session.token})
    assert (permanent.code, permanent.text("EC")) == ("InvalidAccessKeyId", "0002-00000002")


def test_a_session_of_a_deleted_role_may_nothing(client: Client, sts: Sts, borrow: Borrow) -> None:
    client.put("k", b"x")
    send = borrow(sts.session())
    sts.oss.accounts.ram.delete_role("reader")
    assert send("GET", "k").status == 403
    sts.oss.accounts.ram.create_role("reader", trust({"RAM": ["*"]}), policies=["AliyunOSSFullAccess"])
    assert send("GET", "k").status == 403


def test_everyone_may_ask_who_he_is(sts: Sts) -> None:
    user = sts.oss.accounts.ram.user("app")
    assert user is not None
    status, answer = sts.call("GetCallerIdentity", "POST")
    assert status == 200
    assert (answer["IdentityType"], answer["Arn"]) == ("RAMUser", f"acs:ram::{DEFAULT_ACCOUNT}:user/app")
    assert answer["UserId"] == answer["PrincipalId"] == user.id
    session = sts.session()
    sts.key = AccessKey(session.access_key_id, session.secret, session.account)
    answer = sts.call("GetCallerIdentity", SecurityToken=session.token)[1]
    assert (answer["IdentityType"], answer["Arn"]) == ("AssumedRoleUser", session.arn)
    assert answer["PrincipalId"] == f"{answer['RoleId']}:session-1"
    sts.key = sts.oss.accounts.create_key()
    answer = sts.call("GetCallerIdentity")[1]
    assert (answer["IdentityType"], answer["AccountId"]) == ("Account", DEFAULT_ACCOUNT)


# AssumeRoleWithOIDC


@pytest.fixture(scope="module")
def private_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def issuer(oss: OssService, clock: VirtualClock, private_key: bytes) -> Issuer:
    """A cluster whose service account "csi-fuse-ossfs" may assume the role "volumes"."""
    issuer = Issuer(CLUSTER, clock=clock, private_key_pem=private_key)
    ram = oss.accounts.ram
    ram.create_oidc_provider("ack-rrsa-c1", issuer=CLUSTER, client_ids=["sts.aliyuncs.com"], jwks=issuer.jwks())
    condition = {"StringEquals": {"oidc:aud": "sts.aliyuncs.com", "oidc:iss": CLUSTER, "oidc:sub": SUBJECT}}
    ram.create_role("volumes", trust({"Federated": [PROVIDER]}, condition), policies=["AliyunOSSFullAccess"])
    return issuer


def with_token(oss: OssService, token: str, **changes: str) -> tuple[int, dict[str, object]]:
    params = {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "JSON",
        "RoleArn": ROLE.replace("reader", "volumes"),
        "OIDCProviderArn": PROVIDER,
        "OIDCToken": token,
        "RoleSessionName": "ossfs",
        **changes,
    }
    headers = {"host": "127.0.0.1:8080", "content-type": "application/x-www-form-urlencoded"}
    answer = oss.handle(Request("POST", "/", headers, urlencode(params).encode()))
    return answer.status, json.loads(answer.read())


def test_a_service_account_token_buys_credentials(
    oss: OssService, client: Client, issuer: Issuer, borrow: Borrow
) -> None:
    status, answer = with_token(oss, issuer.token(SUBJECT), DurationSeconds="900")
    assert status == 200, answer
    assert answer["OIDCTokenInfo"] == {
        "Subject": SUBJECT,
        "Issuer": CLUSTER,
        "ClientIds": "sts.aliyuncs.com",
        "IssuanceTime": "2024-09-03T00:00:00Z",
        "ExpirationTime": "2024-09-03T01:00:00Z",
        "VerificationInfo": "Success",
    }
    session = session_of(oss, answer)
    assert session.arn == f"acs:sts::{DEFAULT_ACCOUNT}:assumed-role/volumes/ossfs"
    assert borrow(session)("PUT", "k").status == 200
    assert client.get("k").status == 200
    assert oss.sts.calls[-1].caller == ""


def test_a_token_is_checked_in_every_part(
    oss: OssService, issuer: Issuer, clock: VirtualClock, private_key: bytes
) -> None:
    stranger = Issuer(CLUSTER, clock=clock)
    impostor = Issuer("https://elsewhere", clock=clock, private_key_pem=private_key)
    unknown_key = Issuer(CLUSTER, clock=clock, private_key_pem=private_key, key_id="other")
    header, payload, signature = issuer.token(SUBJECT).split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token in (
        stranger.token(SUBJECT),
        impostor.token(SUBJECT),
        unknown_key.token(SUBJECT),
        issuer.token(SUBJECT, audience="somebody"),
        issuer.token(SUBJECT, claims={"nbf": int(clock.now()) + 60}),
        issuer.token(SUBJECT, claims={"exp": "soon"}),
        issuer.token(SUBJECT, claims={"aud": None}),
        f"{header}.{payload}.{signature[::-1]}",
        f"{unsigned}.{payload}.",
        f"{unsigned}.{payload}.{signature}",
        "not.a.token",
    ):
        status, answer = with_token(oss, token)
        assert (status, answer["Code"]) == (400, "AuthenticationFail.OIDCToken.Invalid"), token
    assert with_token(oss, issuer.token(SUBJECT, ["somebody", "sts.aliyuncs.com"]))[0] == 200


def test_a_token_expires_with_the_clock(oss: OssService, issuer: Issuer, clock: VirtualClock) -> None:
    token = issuer.token(SUBJECT, lifetime=600)
    clock.advance(599)
    assert with_token(oss, token)[0] == 200
    clock.advance(1)
    status, answer = with_token(oss, token)
    assert (status, answer["Code"]) == (400, "AuthenticationFail.OIDCToken.Expired")


def test_the_trust_policy_names_the_service_account(oss: OssService, issuer: Issuer) -> None:
    status, answer = with_token(oss, issuer.token("system:serviceaccount:default:default"))
    assert (status, answer["Code"]) == (403, "AuthenticationFail.NoPermission")
    # A role that trusts users does not trust the provider.
    oss.accounts.ram.create_role("reader", trust({"RAM": [f"acs:ram::{DEFAULT_ACCOUNT}:root"]}))
    assert with_token(oss, issuer.token(SUBJECT), RoleArn=ROLE)[0] == 403


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"OIDCProviderArn": ""}, 400, "MissingOIDCProviderArn"),
        ({"OIDCProviderArn": PROVIDER + "x"}, 404, "EntityNotExist.OIDCProvider"),
        ({"OIDCToken": ""}, 400, "MissingOIDCToken"),
        ({"OIDCToken": "abc"}, 400, "InvalidParameter.OIDCToken"),
        ({"OIDCToken": "a" * 20_001}, 400, "InvalidParameter.OIDCToken"),
        ({"RoleArn": ROLE}, 404, "EntityNotExist.Role"),
        ({"RoleSessionName": "?"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "43200"}, 400, "InvalidParameter.DurationSeconds"),
    ],
)
def test_mistakes_around_a_token_have_their_codes(
    oss: OssService, issuer: Issuer, params: dict[str, str], status: int, code: str
) -> None:
    answer = with_token(oss, issuer.token(SUBJECT), **params)
    assert (answer[0], answer[1]["Code"]) == (status, code)


def test_without_pyjwt_a_token_is_refused_with_the_remedy(
    oss: OssService, issuer: Issuer, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(SUBJECT)
    monkeypatch.setitem(sys.modules, "jwt", None)
    status, answer = with_token(oss, token)
    assert (status, answer["Code"]) == (500, "InternalError")
    assert "pip install 'ossvol[rrsa]'" in str(answer["Message"])
    with pytest.raises(MissingDependency):
        Issuer(CLUSTER, clock=clock)
