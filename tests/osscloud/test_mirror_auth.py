"""Origins that want to know who asks: MirrorAuth against S3 servers that check signatures, roles against buckets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from defusedxml.ElementTree import fromstring
from moto.server import ThreadedMotoServer

from osscloud.clock import WallClock
from osscloud.http_server import HttpServer
from osscloud.origin_http import HttpOrigin
from osscloud.service import OssService

KEY = "dir/a b+文"
TRUST = {
    "Version": "1",
    "Statement": [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": ["oss.aliyuncs.com"]}},
    ],
}
READS = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:GetObject", "Resource": "*"}]}


class Cloud:
    """A cloud on a socket whose public bucket "demo" mirrors something."""

    def __init__(self) -> None:
        self.origin = HttpOrigin()
        self.oss = OssService(clock=WallClock(), rng=random.Random(1), origin=self.origin)
        self.oss.accounts.create_key(id="LTAIorigin", secret="secret")
        self.oss.admin.create_bucket("demo", acl="public-read")
        self.oss.admin.create_bucket("shelf")
        self.oss.admin.put("shelf", KEY, b"private")
        self.server = HttpServer(self.oss)

    def mirror(self, url: str, more: str) -> None:
        self.oss.store.buckets["demo"].configure(
            "website",
            (
                "<WebsiteConfiguration><RoutingRules><RoutingRule><RuleNumber>1</RuleNumber><Condition>"
                "<HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>"
                f"<RedirectType>Mirror</RedirectType><MirrorURL>{url}</MirrorURL>{more}</Redirect>"
                "</RoutingRule></RoutingRules></WebsiteConfiguration>"
            ).encode(),
        )

    def get(self, key: str = KEY) -> requests.Response:
        return requests.get(f"{self.server.endpoint}/demo/{requests.utils.quote(key)}", timeout=20)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    with made.server:
        yield made
        made.origin.close()


@pytest.fixture
def other() -> Iterator[Cloud]:
    made = Cloud()
    with made.server:
        yield made
        made.origin.close()


def auth(key: str = "LTAIorigin", secret: str = "secret", region: str = "us-east-1") -> str:
    return (
        f"<MirrorAuth><AuthType>S3V4</AuthType><Region>{region}</Region><AccessKeyId>{key}</AccessKeyId>"
        f"<AccessKeySecret>{secret}</AccessKeySecret></MirrorAuth>"
    )


def failure(answer: requests.Response) -> str:
    """The detail of a failed mirroring."""
    document = fromstring(answer.content)
    assert (answer.status_code, document.findtext("Code")) == (424, "MirrorFailed")
    return document.findtext("Detail") or ""


def test_an_s3_server_is_asked_with_a_signature(cloud: Cloud, other: Cloud) -> None:
    url = f"{other.server.endpoint}/shelf/"
    cloud.mirror(url, auth())
    assert (cloud.get().status_code, cloud.get().content) == (200, b"private")
    cloud.oss.admin.delete("demo", KEY)
    cloud.mirror(url, auth(secret="wrong"))
    assert failure(cloud.get()) == "The origin answered with status 403."
    cloud.mirror(url, "")
    assert failure(cloud.get()) == "The origin answered with status 403."
    assert [record.error_code for record in other.oss.access_log.records if record.http_status == 403] == [
        "SignatureDoesNotMatch",
        "AccessDenied",
    ]


@pytest.fixture
def moto() -> Iterator[str]:
    """The endpoint of a moto. It lives in this process: that it checks signatures has to end with the test."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    yield endpoint
    check_signatures(endpoint, after="inf")
    requests.post(f"{endpoint}/moto-api/reset", timeout=20)
    server.stop()


def check_signatures(endpoint: str, after: str) -> None:
    """after: how many requests moto still lets pass unchecked."""
    requests.post(f"{endpoint}/moto-api/reset-auth", data=after.encode(), timeout=20).raise_for_status()


def aws(service: str, endpoint: str, key: str = "AKIAANYBODY", secret: str = "any") -> Any:
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )


def test_moto_gives_a_private_object_to_its_reader_only(cloud: Cloud, moto: str) -> None:
    iam = aws("iam", moto)
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    iam.put_user_policy(UserName="reader", PolicyName="s3", PolicyDocument=policy)
    s3 = aws("s3", moto)
    s3.create_bucket(Bucket="shelf")
    s3.put_object(Bucket="shelf", Key=KEY, Body=b"private")
    check_signatures(moto, after="0")
    cloud.mirror(f"{moto}/shelf/", "")
    assert failure(cloud.get()) == "The origin answered with status 403."
    cloud.mirror(f"{moto}/shelf/", auth(key["AccessKeyId"], "wrong"))
    assert failure(cloud.get()) == "The origin answered with status 403."
    cloud.mirror(f"{moto}/shelf/", auth(key["AccessKeyId"], key["SecretAccessKey"]))
    assert (cloud.get().status_code, cloud.get().content) == (200, b"private")


# Roles


def role(name: str = "mirror") -> str:
    return f"<MirrorUsingRole>true</MirrorUsingRole><MirrorRole>{name}</MirrorRole>"


def test_a_private_bucket_is_read_as_the_role_may(cloud: Cloud) -> None:
    cloud.mirror(f"{cloud.server.endpoint}/shelf/", role())
    assert failure(cloud.get()) == f"MirrorRole: account {cloud.oss.store.buckets['demo'].owner} has no role mirror."
    cloud.oss.accounts.ram.create_role("mirror", trust=TRUST)
    assert failure(cloud.get()) == "The origin answered with status 403."
    cloud.oss.accounts.ram.set_role_policies("mirror", [READS])
    assert (cloud.get().status_code, cloud.get().content) == (200, b"private")
    asked = [record for record in cloud.oss.access_log.records if record.bucket == "shelf"]
    assert {record.access_key_id[:4] for record in asked} == {"STS."}
    assert len({record.access_key_id for record in asked}) == 1


def test_a_role_has_to_trust_oss(cloud: Cloud) -> None:
    trust = {"Version": "1", "Statement": [TRUST["Statement"][0] | {"Principal": {"Service": ["ecs.aliyuncs.com"]}}]}
    cloud.oss.accounts.ram.create_role("mirror", trust=trust, policies=[READS])
    cloud.mirror(f"{cloud.server.endpoint}/shelf/", role())
    assert failure(cloud.get()) == "MirrorRole: the role mirror does not trust the service oss.aliyuncs.com."


def test_a_role_is_for_buckets_of_the_cloud_only(cloud: Cloud, other: Cloud) -> None:
    cloud.oss.accounts.ram.create_role("mirror", trust=TRUST, policies=[READS])
    for url in (f"{other.server.endpoint}/shelf/", f"{cloud.server.endpoint}/nowhere/"):
        cloud.mirror(url, role())
        assert failure(cloud.get()).startswith("MirrorUsingRole is for buckets of this service")
    assert not other.oss.access_log.records


def test_a_role_that_is_not_used_is_only_kept(cloud: Cloud) -> None:
    cloud.oss.admin.put("shelf", "open", b"public")
    cloud.oss.store.buckets["shelf"].acl = "public-read"
    cloud.mirror(
        f"{cloud.server.endpoint}/shelf/", "<MirrorUsingRole>false</MirrorUsingRole><MirrorRole>x</MirrorRole>"
    )
    assert cloud.get("open").content == b"public"
