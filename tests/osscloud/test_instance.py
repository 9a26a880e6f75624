"""The metadata service: what ossfs's ram_role gets, and from where."""

from __future__ import annotations

import gc
import json
import random
import warnings
from collections.abc import Iterator

import pytest

from osscloud.clock import VirtualClock, WallClock
from osscloud.http_server import HttpServer
from osscloud.instance import HOST, PATH
from osscloud.message import Request
from osscloud.service import OssService

with warnings.catch_warnings():
    # Escape sequences and pkg_resources in the SDK's own source.
    warnings.simplefilter("ignore")
    import oss2
    from oss2.credentials import EcsRamRoleCredentialsProvider

TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs.aliyuncs.com"}}]}


def ask(oss: OssService, path: str, host: str = HOST) -> tuple[int, bytes]:
    answer = oss.handle(Request("GET", path, {"host": host}))
    return answer.status, answer.read()


@pytest.fixture
def machine(oss: OssService) -> OssService:
    """Has the role "volumes"."""
    oss.accounts.ram.create_role("volumes", TRUST, policies=["AliyunOSSFullAccess"])
    oss.instance.attach("volumes")
    return oss


def test_without_a_role_there_is_nothing(oss: OssService) -> None:
    assert ask(oss, PATH)[0] == 404
    assert ask(oss, PATH + "volumes")[0] == 404


def test_the_instance_tells_its_role_and_gives_credentials_of_it(machine: OssService, clock: VirtualClock) -> None:
    assert ask(machine, PATH) == (200, b"volumes")
    status, body = ask(machine, PATH + "volumes")
    document = json.loads(body)
    assert (status, document["Code"], document["Expiration"]) == (200, "Success", "2024-09-03T06:00:00Z")
    session = machine.accounts.session(document["AccessKeyId"])
    assert session is not None
    assert (session.role, session.token) == ("volumes", document["SecurityToken"])
    assert ask(machine, PATH + "other")[0] == 404
    assert ask(machine, "/latest/meta-data/instance-id")[0] == 404
    machine.instance.attach("")
    assert ask(machine, PATH)[0] == 404


def test_credentials_are_renewed_half_an_hour_before_they_expire(machine: OssService, clock: VirtualClock) -> None:
    first = ask(machine, PATH + "volumes")
    clock.advance(5 * 3600)
    assert ask(machine, PATH + "volumes") == first
    clock.advance(1801)
    assert ask(machine, PATH + "volumes") != first


def test_only_a_role_that_trusts_ecs_is_attached(oss: OssService) -> None:
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "*"}}]}
    oss.accounts.ram.create_role("other", trust)
    with pytest.raises(ValueError, match=r"does not trust the service ecs\.aliyuncs\.com"):
        oss.instance.attach("other")
    with pytest.raises(KeyError):
        oss.instance.attach("nobody")


def test_a_bucket_called_latest_is_reached_by_who_signs(machine: OssService) -> None:
    machine.admin.create_bucket("latest")
    signed = Request("GET", PATH, {"host": "127.0.0.1", "authorization": "OSS a:b", "date": "x"})
    assert machine.handle(signed).header("Server") == "AliyunOSS"
    assert ask(machine, PATH, "127.0.0.1") == (200, b"volumes")
    assert ask(machine, "/latest/other", "127.0.0.1")[0] == 403


@pytest.fixture
def served() -> Iterator[HttpServer]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.ram.create_role("volumes", TRUST, policies=["AliyunOSSFullAccess"])
    service.instance.attach("volumes")
    service.admin.create_bucket("demo")
    with HttpServer(service) as server:
        yield server


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_real_client_reads_it_over_http(served: HttpServer) -> None:
    provider = EcsRamRoleCredentialsProvider(served.endpoint + PATH + "volumes")
    session = oss2.Session()
    bucket = oss2.Bucket(oss2.ProviderAuthV4(provider), served.endpoint, "demo", session=session, region="cn-hangzhou")
    bucket.put_object("k", b"x")
    assert bucket.get_object("k").read() == b"x"
    session.session.close()
    del provider, bucket, session
    gc.collect()
