"""Users, roles and providers as one document, through the control interface."""

from __future__ import annotations

import json
import random
from io import BytesIO

import pytest

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.control import Control
from osscloud.message import Request
from osscloud.persistence.snapshot import load, save
from osscloud.service import OssService

TRUST = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs.aliyuncs.com"}}]}
DOCUMENT = {
    "policies": [
        {"name": "reads", "document": {"Statement": [{"Effect": "Allow", "Action": "oss:Get*", "Resource": "*"}]}}
    ],
    "users": [
        {"name": "app", "policies": ["reads", "AliyunSTSAssumeRoleAccess"], "keys": 2},
        {"name": "guest", "account": "42", "keys": [{"id": "GUEST", "secret": "s"}]},
    ],
    "roles": [{"name": "volumes", "trust": TRUST, "policies": ["AliyunOSSFullAccess"], "max_session_seconds": 7200}],
    "oidc_providers": [{"name": "c1", "issuer": "https://c1", "client_ids": ["a"], "jwks": {"keys": []}}],
}


class Served:
    def __init__(self) -> None:
        clock = AdjustableClock(VirtualClock(1000.0))
        self.service = OssService(clock=clock, rng=random.Random(5))
        self.control = Control(self.service, clock=clock, token="t0k")

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.control.handle(Request(method, f"/-/{path}", {"authorization": "Bearer t0k"}, data))
        return answer.status, json.loads(answer.read())


@pytest.fixture
def served() -> Served:
    return Served()


def test_a_document_creates_all_that_it_names(served: Served) -> None:
    status, made = served.call("POST", "ram", DOCUMENT)
    assert status == 200, made
    app, guest = made["users"]  # type: ignore[misc]
    assert len(app["keys"]) == 2
    assert guest["keys"] == [{"id": "GUEST", "secret": "s"}]
    accounts = served.service.accounts
    key = accounts.find(app["keys"][0]["id"])
    assert key is not None
    assert (key.secret, key.user) == (app["keys"][0]["secret"], "app")
    assert accounts.allows(key.id, "oss:GetObject", "acs:oss:*:*:b/k")
    assert not accounts.allows(key.id, "oss:PutObject", "acs:oss:*:*:b/k")
    role = accounts.ram.role_by_arn(made["roles"][0]["arn"])  # type: ignore[index]
    assert role is not None
    assert role.max_session_seconds == 7200
    assert accounts.ram.provider_by_arn(made["oidc_providers"][0]["arn"]) is not None  # type: ignore[index]


def test_what_there_is_is_told_without_secrets(served: Served) -> None:
    served.call("POST", "ram", DOCUMENT)
    assert served.call("PUT", "ram/instance-role", {"role": "volumes"}) == (200, {})
    status, found = served.call("GET", "ram")
    assert status == 200
    assert [user["name"] for user in found["users"]] == ["app", "guest"]  # type: ignore[attr-defined]
    assert found["users"][1]["keys"] == ["GUEST"]  # type: ignore[index]
    assert found["instance_role"] == "acs:ram::1000000000000001:role/volumes"
    assert '"s"' not in json.dumps(found)
    assert served.call("PUT", "ram/instance-role", {"role": ""}) == (200, {})
    assert served.call("GET", "ram")[1]["instance_role"] == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": [{"name": "app", "policies": ["Nothing"]}]}, "there is no policy 'Nothing'"),
        ({"users": [{"name": "app"}, {"name": "app"}]}, "app exists already"),
        ({"users": [{"name": "app", "keys": [{"id": "a"}, {"id": "a"}]}]}, "'a' exists already"),
        ({"roles": [{"name": "r", "trust": {"Statement": []}}]}, "non-empty Statement"),
        ({"users": [{"nam": "app"}]}, "users.0.name: Field required"),
        ({"user": []}, "user: Extra inputs"),
        ({"oidc_providers": [{"name": "p", "issuer": "x", "client_ids": [], "jwks": {}}]}, "https URL"),
    ],
)
def test_a_document_with_a_mistake_creates_nothing(served: Served, change: dict[str, object], message: str) -> None:
    before = served.call("GET", "ram")
    status, answer = served.call("POST", "ram", {**DOCUMENT, **change})
    assert status == 400
    assert message in str(answer["error"])
    assert served.call("GET", "ram") == before
    assert served.call("POST", "ram", DOCUMENT)[0] == 200


def test_paths_and_verbs_that_are_not_there(served: Served) -> None:
    assert served.call("DELETE", "ram")[0] == 405
    assert served.call("GET", "ram/instance-role")[0] == 405
    assert served.call("GET", "ram/users")[0] == 404
    assert served.call("PUT", "ram/instance-role", {"role": "nobody"})[0] == 404
    assert served.call("POST", "ram", [1])[0] == 400


def test_a_snapshot_keeps_users_roles_and_temporary_credentials(served: Served) -> None:
    served.call("POST", "ram", DOCUMENT)
    served.call("PUT", "ram/instance-role", {"role": "volumes"})
    accounts = served.service.accounts
    role = accounts.ram.role("volumes")
    assert role is not None
    session = accounts.open_session(role, "s", expires=5000.0, now=1000.0)
    file = BytesIO()
    save(served.service, file)
    file.seek(0)
    other = Served()
    load(other.service, file, "the file")
    assert other.service.accounts.session(session.access_key_id) == session
    assert other.service.accounts.ram.directory == accounts.ram.directory
    assert other.service.accounts.keys == accounts.keys
    assert other.call("GET", "ram") == served.call("GET", "ram")
