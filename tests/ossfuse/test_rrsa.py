"""ACK's builds buy their keys with a token of the cluster: `rrsa_endpoint=` against the cloud's STS."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.message import Request, Response
from osscloud.oidc import Issuer
from osscloud.service import OssService
from ossfuse.filesystem import Context
from ossfuse.mount import Mount
from ossfuse.options import UsageError, parse
from ossfuse.profile import find

ISSUER = "https://oidc.example/c1"
SUBJECT = "system:serviceaccount:ack-csi-fuse:csi-fuse-ossfs"
ENDPOINT = "http://127.0.0.1"


class Bench:
    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.service = OssService(clock=self.clock, rng=random.Random(0))
        self.service.admin.create_bucket("demo")
        self.account = self.service.accounts.create_key().account
        self.issuer = Issuer(ISSUER, clock=self.clock)
        ram = self.service.accounts.ram
        self.provider = ram.create_oidc_provider(
            "ack-rrsa-c1",
            issuer=ISSUER,
            client_ids=("sts.aliyuncs.com",),
            jwks=self.issuer.jwks(),
            account=self.account,
        )
        self.token_file = directory / "token"
        self.directory = directory
        self.printed = io.StringIO()

    def send(self, request: Request) -> Response:
        answer = self.service.handle(request)
        assert isinstance(answer, Response)
        return answer

    def role(self, subject: str, policies: tuple[str, ...] = ("AliyunOSSFullAccess",)) -> str:
        trust = {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Federated": [self.provider.arn]},
                    "Condition": {"StringEquals": {"oidc:sub": subject, "oidc:aud": "sts.aliyuncs.com"}},
                }
            ],
        }
        ram = self.service.accounts.ram
        return ram.create_role("oss", trust=trust, policies=policies, account=self.account).arn

    def mount(self, role: str, session: str = "ossfs.pv.x") -> tuple[Mount, int | None]:
        self.token_file.write_text(self.issuer.token(SUBJECT))
        (self.directory / "mnt").mkdir(exist_ok=True)
        mount = Mount(
            [
                *("demo", str(self.directory / "mnt"), "-f", f"-ourl={ENDPOINT}"),
                *("-o", f"use_path_request_style,rrsa_endpoint={ENDPOINT},dbglevel=err"),
            ],
            profile=find("1.91.5.ack"),
            environment={
                "ALIBABA_CLOUD_ROLE_ARN": role,
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": self.provider.arn,
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(self.token_file),
                "ROLE_SESSION_NAME": session,
            },
            clock=AdjustableClock(self.clock),
            mime_text="",
            stdout=self.printed,
            stderr=self.printed,
            transport=self,
        )
        return mount, mount.prepare()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_trusted_token_buys_keys_that_open_the_bucket(bench: Bench) -> None:
    mount, code = bench.mount(bench.role(SUBJECT))
    assert (code, bench.printed.getvalue()) == (None, "")
    (call,) = bench.service.sts.calls
    assert (call.action, call.status) == ("AssumeRoleWithOIDC", 200)
    assert mount.fs is not None


def test_a_token_of_another_namespace_is_refused_by_sts(bench: Bench) -> None:
    _, code = bench.mount(bench.role(SUBJECT.replace("ack-csi-fuse", "kube-system")))
    assert code == 1
    assert "AuthenticationFail.NoPermission" in bench.printed.getvalue()
    assert "Failed to initialize RAM credential." in bench.printed.getvalue()


def test_a_role_without_rights_is_refused_by_oss(bench: Bench) -> None:
    _, code = bench.mount(bench.role(SUBJECT, policies=()))
    assert code == 1
    assert bench.service.sts.calls[-1].status == 200
    assert "AuthenticationFail" not in bench.printed.getvalue()


def test_a_session_name_longer_than_64_characters_is_refused(bench: Bench) -> None:
    _, code = bench.mount(bench.role(SUBJECT), session="ossfs." + "v" * 64)
    assert code == 1
    assert "InvalidParameter.RoleSessionName" in bench.printed.getvalue()


def test_fresh_keys_are_bought_with_the_renewed_token(bench: Bench) -> None:
    mount, _ = bench.mount(bench.role(SUBJECT))
    bench.clock.advance(3600 - 19 * 60)
    bench.token_file.write_text(bench.issuer.token(SUBJECT))
    mount.fs.readdir(Context(0, 0), "/")
    assert [call.status for call in bench.service.sts.calls] == [200, 200]


def test_a_public_release_does_not_know_the_option() -> None:
    assert find("1.91.5.ack.1").name == "1.91.5.ack.1"
    command = ["demo", "/mnt", "-orrsa_endpoint=x"]
    with pytest.raises(UsageError, match="unknown option `rrsa_endpoint=x'"):
        parse(command, find("1.91.5"), look_at_mountpoint=False)
    assert parse(command, find("1.91.5.ack"), look_at_mountpoint=False).rrsa_endpoint == "x"
