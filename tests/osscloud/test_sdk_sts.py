"""Temporary credentials with the vendor's own clients, over HTTP: got from STS by two of its SDKs, used by oss2,
alibabacloud-oss-v2 and boto3 in headers and in URLs."""

from __future__ import annotations

import gc
import json
import random
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from osscloud.accounts import DEFAULT_ACCOUNT, AccessKey
from osscloud.clock import AdjustableClock
from osscloud.http_server import HttpServer
from osscloud.oidc import Issuer
from osscloud.service import OssService

with warnings.catch_warnings():
    # Escape sequences and pkg_resources in the SDKs' own sources.
    warnings.simplefilter("ignore")
    import alibabacloud_oss_v2 as oss_v2
    import oss2
    import oss2.credentials
    from alibabacloud_sts20150401 import models
    from alibabacloud_sts20150401.client import Client as StsClient
    from alibabacloud_tea_openapi.models import Config as StsConfig
    from aliyunsdkcore.acs_exception.exceptions import ServerException
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import CommonRequest

# The SDKs leave their connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

ROLE = f"acs:ram::{DEFAULT_ACCOUNT}:role/reader"


@pytest.fixture(scope="module", autouse=True)
def _collect_connections() -> Iterator[None]:
    yield
    gc.collect()


class Cloud:
    """A served cloud with the bucket "demo", the object "dir/k", a user that may assume the role "reader"."""

    def __init__(self) -> None:
        self.clock = AdjustableClock()
        self.service = OssService(clock=self.clock, rng=random.Random(1))
        self.service.admin.create_bucket("demo")
        self.service.admin.put("demo", "dir/k", b"hello")
        ram = self.service.accounts.ram
        ram.create_user("app", policies=["AliyunSTSAssumeRoleAccess"])
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
        ram.create_role(
            "reader",
            {"Statement": [trust | {"Principal": {"RAM": f"acs:ram::{DEFAULT_ACCOUNT}:root"}}]},
            policies=["AliyunOSSReadOnlyAccess"],
        )
        self.key: AccessKey = self.service.accounts.create_key(user="app")
        self.server = HttpServer(self.service)

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    def sts(self) -> Any:
        return StsClient(
            StsConfig(
                access_key_id=self.key.id,
                access_key_secret=self.key.secret,
                endpoint=self.endpoint.removeprefix("http://"),
                protocol="http",
                region_id="cn-hangzhou",
            )
        )

    def credentials(self) -> tuple[str, str, str]:
        """id, secret and token of the role."""
        request = models.AssumeRoleRequest(role_arn=ROLE, role_session_name="test")
        found = self.sts().assume_role(request).body.credentials
        return found.access_key_id, found.access_key_secret, found.security_token


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    with cloud.server:
        yield cloud


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


# STS itself


def common_request(cloud: Cloud, **params: str) -> Any:
    request = CommonRequest(domain=cloud.endpoint.removeprefix("http://"), version="2015-04-01")
    request.set_action_name("AssumeRole")
    request.set_protocol_type("http")
    request.set_method("POST")
    for name, value in params.items():
        request.add_query_param(name, value)
    return request


def test_the_older_sdk_assumes_a_role(cloud: Cloud) -> None:
    client = AcsClient(cloud.key.id, cloud.key.secret, "cn-hangzhou")
    request = common_request(cloud, RoleArn=ROLE, RoleSessionName="a.b@c-d_e", DurationSeconds="900")
    answer = json.loads(client.do_action_with_exception(request))
    assert answer["AssumedRoleUser"]["Arn"].endswith("assumed-role/reader/a.b@c-d_e")
    client = AcsClient(cloud.key.id, "wrong", "cn-hangzhou")
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(common_request(cloud, RoleArn=ROLE, RoleSessionName="session"))
    assert caught.value.get_http_status() == 400
    # The SDK compares its own text with the one in the message, and says so when they are the same.
    assert caught.value.get_error_code() in ("SignatureDoesNotMatch", "InvalidAccessKeySecret")


def test_the_newer_sdk_assumes_a_role_and_asks_who_it_is(cloud: Cloud) -> None:
    sts = cloud.sts()
    policy = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}]})
    request = models.AssumeRoleRequest(role_arn=ROLE, role_session_name="test", policy=policy, duration_seconds=900)
    body = sts.assume_role(request).body
    assert body.credentials.access_key_id.startswith("STS.")
    assert sts.get_caller_identity().body.identity_type == "RAMUser"
    with pytest.raises(Exception, match=r"EntityNotExist\.Role"):
        sts.assume_role(models.AssumeRoleRequest(role_arn=ROLE + "s", role_session_name="test"))
    cloud.key = AccessKey(cloud.key.id, "wrong", "")
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        cloud.sts().get_caller_identity()


def test_the_newer_sdk_brings_a_service_account_token(cloud: Cloud) -> None:
    issuer = Issuer("https://cluster", clock=cloud.clock)
    ram = cloud.service.accounts.ram
    provider = ram.create_oidc_provider("c", issuer=issuer.url, client_ids=["sts.aliyuncs.com"], jwks=issuer.jwks())
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Federated": provider.arn}}
    role = ram.create_role("volumes", {"Statement": [trust]})
    request = models.AssumeRoleWithOIDCRequest(
        role_arn=role.arn,
        oidcprovider_arn=provider.arn,
        oidctoken=issuer.token("system:serviceaccount:a:b"),
        role_session_name="ossfs",
    )
    body = cloud.sts().assume_role_with_oidc(request).body
    assert body.oidctoken_info.subject == "system:serviceaccount:a:b"
    assert body.credentials.security_token


# OSS


def sts_auth(version: str) -> Callable[[str, str, str], Any]:
    return lambda id, secret, token: oss2.StsAuth(id, secret, token, version)


def provider_auth(kind: Any) -> Callable[[str, str, str], Any]:
    return lambda *credentials: kind(oss2.credentials.StaticCredentialsProvider(*credentials))


@pytest.fixture(
    params=[sts_auth("v1"), sts_auth("v2"), sts_auth("v4"), provider_auth(oss2.ProviderAuthV4)],
    ids=["StsAuth-v1", "StsAuth-v2", "StsAuth-v4", "ProviderAuthV4"],
)
def make_auth(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_oss2_uses_a_token_in_headers_and_urls(cloud: Cloud, make_auth: Any) -> None:
    id, secret, token = cloud.credentials()
    bucket = oss2.Bucket(make_auth(id, secret, token), cloud.endpoint, "demo", region="cn-hangzhou")
    assert bucket.get_object("dir/k").read() == b"hello"
    assert [found.key for found in oss2.ObjectIterator(bucket, prefix="dir/", delimiter="/")] == ["dir/k"]
    with pytest.raises(oss2.exceptions.AccessDenied) as caught:
        bucket.put_object("k", b"x", headers={"x-oss-meta-a": "1"})
    assert (caught.value.status, caught.value.details["EC"]) == (403, "0003-00000001")
    url = bucket.sign_url("GET", "dir/k", 60, slash_safe=True)
    assert fetch(url) == (200, b"hello")
    other = cloud.credentials()[2]
    for wrong, code in [("wrong", "InvalidSecurityToken"), (other, "AccessKeyIdAndSecurityTokenNotMatch")]:
        bucket = oss2.Bucket(make_auth(id, secret, wrong), cloud.endpoint, "demo", region="cn-hangzhou")
        with pytest.raises(oss2.exceptions.ServerError) as failed:
            bucket.get_object("dir/k")
        assert (failed.value.status, failed.value.code) == (403, code)


def test_oss2_speaks_signature_version_2_with_a_permanent_key(cloud: Cloud) -> None:
    key = cloud.service.accounts.create_key()
    bucket = oss2.Bucket(oss2.AuthV2(key.id, key.secret), cloud.endpoint, "demo")
    bucket.put_object("dir/文 件+.txt", b"x", headers={"x-oss-meta-a": "1", "Content-Type": "text/plain"})
    assert bucket.get_object("dir/文 件+.txt", byte_range=(0, 0)).read() == b"x"
    assert [found.key for found in oss2.ObjectIteratorV2(bucket, prefix="dir/")] == ["dir/k", "dir/文 件+.txt"]
    url = bucket.sign_url("GET", "dir/k", 60, params={"response-content-type": "text/plain"})
    assert fetch(url) == (200, b"hello")
    assert fetch(url.replace("text%2Fplain", "text%2Fhtml"))[0] == 403
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch) as caught:
        oss2.Bucket(oss2.AuthV2(key.id, "wrong"), cloud.endpoint, "demo").get_object("dir/k")
    assert caught.value.details["EC"] == "0002-00000101"
    cloud.clock.advance(61)
    assert b"Request has expired." in fetch(url)[1]


def test_an_expired_token_is_told_from_a_wrong_one(cloud: Cloud) -> None:
    auth = oss2.StsAuth(*cloud.credentials(), "v1")
    url = oss2.Bucket(auth, cloud.endpoint, "demo").sign_url("GET", "dir/k", 36000)
    assert fetch(url)[0] == 200
    cloud.clock.advance(3600)
    status, body = fetch(url)
    assert (status, b"<Code>SecurityTokenExpired</Code>" in body) == (403, True)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_oss_v2_uses_a_token_in_headers_and_urls(cloud: Cloud, version: str) -> None:
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(*cloud.credentials())
    config.region, config.endpoint = "cn-hangzhou", cloud.endpoint
    config.signature_version = version
    config.retry_max_attempts = 1
    client = oss_v2.Client(config)
    request = oss_v2.GetObjectRequest(bucket="demo", key="dir/k")
    with client.get_object(request).body as stream:
        assert stream.read() == b"hello"
    with pytest.raises(oss_v2.exceptions.OperationError) as caught:
        client.put_object(oss_v2.PutObjectRequest(bucket="demo", key="k", body=b"x"))
    error = caught.value.unwrap()
    assert (error.status_code, error.code, error.ec) == (403, "AccessDenied", "0003-00000001")
    assert fetch(client.presign(request).url) == (200, b"hello")


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
def test_boto3_uses_a_session_token_in_headers_and_urls(cloud: Cloud, signature: str) -> None:
    id, secret, token = cloud.credentials()

    def client(session_token: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=cloud.endpoint,
            region_name="cn-hangzhou",
            aws_access_key_id=id,
            aws_secret_access_key=secret,
            aws_session_token=session_token,
            config=Config(signature_version=signature, retries={"max_attempts": 0}),
        )

    s3 = client(token)
    with s3.get_object(Bucket="demo", Key="dir/k")["Body"] as body:
        assert body.read() == b"hello"
    with pytest.raises(ClientError) as caught:
        s3.delete_object(Bucket="demo", Key="dir/k")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    url = s3.generate_presigned_url("get_object", {"Bucket": "demo", "Key": "dir/k"}, 60)
    assert fetch(url) == (200, b"hello")
    with pytest.raises(ClientError) as caught:
        client("wrong").get_object(Bucket="demo", Key="dir/k")
    assert caught.value.response["Error"]["Code"] == "InvalidSecurityToken"
    s3.close()


# Bucket policies with the SDKs' own calls


def test_both_sdks_put_read_and_delete_a_bucket_policy(cloud: Cloud) -> None:
    key = cloud.service.accounts.create_key()
    bucket = oss2.Bucket(oss2.AuthV4(key.id, key.secret), cloud.endpoint, "demo", region="cn-hangzhou")
    statement = {"Effect": "Allow", "Action": ["oss:GetObject"], "Principal": ["*"], "Resource": ["acs:oss:*:*:demo/*"]}
    policy = json.dumps({"Version": "1", "Statement": [statement]})
    bucket.put_bucket_policy(policy)
    assert json.loads(bucket.get_bucket_policy().policy) == json.loads(policy)
    assert fetch(f"{cloud.endpoint}/demo/dir/k") == (200, b"hello")
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(key.id, key.secret)
    config.region, config.endpoint = "cn-hangzhou", cloud.endpoint
    client = oss_v2.Client(config)
    status = client.get_bucket_policy_status(oss_v2.GetBucketPolicyStatusRequest(bucket="demo"))
    assert status.policy_status.is_public is True
    assert json.loads(client.get_bucket_policy(oss_v2.GetBucketPolicyRequest(bucket="demo")).body) == json.loads(policy)
    client.delete_bucket_policy(oss_v2.DeleteBucketPolicyRequest(bucket="demo"))
    assert fetch(f"{cloud.endpoint}/demo/dir/k")[0] == 403
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.get_bucket_policy()
    assert (caught.value.status, caught.value.code) == (404, "NoSuchBucketPolicy")
