"""Access keys and what their policies say."""

from __future__ import annotations

import random

import pytest

from osscloud.accounts import DEFAULT_ACCOUNT, Accounts, Decision, Policy


def test_generated_keys_look_like_the_services_and_repeat_with_the_seed() -> None:
    first, second = (Accounts(random.Random(7)).create_key() for _ in range(2))
    assert first == second
    assert first.id.startswith("LTAI5t")
    assert (len(first.id), len(first.secret), first.account, first.status) == (24, 30, DEFAULT_ACCOUNT, "Active")


def test_a_key_is_found_until_it_is_deleted() -> None:
    accounts = Accounts(random.Random(1))
    key = accounts.create_key(id="a", secret="s", account="7")
    assert accounts.find("a") == key
    accounts.disable("a")
    found = accounts.find("a")
    assert found is not None
    assert found.status == "Disabled"
    accounts.enable("a")
    assert accounts.find("a") == key
    accounts.delete("a")
    assert accounts.find("a") is None
    with pytest.raises(KeyError):
        accounts.disable("a")


def test_an_id_is_never_given_twice() -> None:
    accounts = Accounts(random.Random(1))
    accounts.create_key(id="a")
    with pytest.raises(ValueError, match="'a' exists already"):
        accounts.create_key(id="a")


def decide(statement: object, action: str, resource: str) -> Decision:
    accounts = Accounts(random.Random(1))
    accounts.create_key(id="a")
    accounts.set_policy("a", Policy.parse({"Version": "1", "Statement": statement}))
    return accounts.allows("a", action, "acs:oss:*:*:" + resource)


READ = {
    "Effect": "Allow",
    "Action": ["oss:Get*", "oss:ListObjects"],
    "Resource": ["acs:oss:*:*:bkt", "acs:oss:*:*:bkt/*"],
}


def test_a_key_without_a_policy_may_do_everything() -> None:
    accounts = Accounts(random.Random(1))
    accounts.create_key(id="a")
    assert accounts.allows("a", "oss:DeleteBucket", "acs:oss:*:*:bkt")
    accounts.set_policy("a", Policy.parse({"Statement": READ}))
    assert not accounts.allows("a", "oss:DeleteBucket", "acs:oss:*:*:bkt")
    accounts.set_policy("a", None)
    assert accounts.allows("a", "oss:DeleteBucket", "acs:oss:*:*:bkt")


def test_silence_denies_and_wildcards_match() -> None:
    assert decide(READ, "oss:GetObject", "bkt/a/b") is Decision.ALLOWED
    assert decide(READ, "OSS:getobject", "bkt/a") is Decision.ALLOWED
    assert decide(READ, "oss:ListObjects", "bkt") is Decision.ALLOWED
    assert decide(READ, "oss:PutObject", "bkt/a") is Decision.IMPLICIT_DENY
    assert decide(READ, "oss:GetObject", "BKT/a") is Decision.IMPLICIT_DENY
    assert decide(READ, "oss:GetObject", "other/a") is Decision.IMPLICIT_DENY


def test_an_object_pattern_does_not_cover_the_bucket_itself() -> None:
    statement = {"Effect": "Allow", "Action": "oss:*", "Resource": "acs:oss:*:*:bkt/*"}
    assert decide(statement, "oss:ListObjects", "bkt") is Decision.IMPLICIT_DENY
    assert decide(statement, "oss:PutObject", "bkt/a") is Decision.ALLOWED


def test_deny_beats_allow_in_any_order() -> None:
    deny = {"Effect": "Deny", "Action": "oss:GetObject", "Resource": "acs:oss:*:*:bkt/secret?"}
    assert decide([READ, deny], "oss:GetObject", "bkt/secret1") is Decision.EXPLICIT_DENY
    assert decide([deny, READ], "oss:GetObject", "bkt/secret1") is Decision.EXPLICIT_DENY
    assert decide([deny, READ], "oss:GetObject", "bkt/secret") is Decision.ALLOWED


def test_not_action_and_not_resource_turn_the_match_round() -> None:
    statement = {"Effect": "Allow", "NotAction": "oss:Delete*", "NotResource": "acs:oss:*:*:other*"}
    assert decide(statement, "oss:PutObject", "bkt/a") is Decision.ALLOWED
    assert decide(statement, "oss:DeleteObject", "bkt/a") is Decision.IMPLICIT_DENY
    assert decide(statement, "oss:PutObject", "other/a") is Decision.IMPLICIT_DENY


def test_region_and_owner_in_a_resource_are_compared_when_the_request_names_them() -> None:
    policy = Policy.parse({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "acs:oss:cn-beijing:*:bkt"}})
    assert policy.decide("oss:ListObjects", "acs:oss:cn-beijing:1:bkt")
    assert not policy.decide("oss:ListObjects", "acs:oss:cn-hangzhou:1:bkt")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "non-empty Statement"),
        ({"Statement": []}, "non-empty Statement"),
        ({"Statement": ["x"]}, "must be an object"),
        ({"Statement": {**READ, "Effect": "Maybe"}}, "Allow or Deny"),
        ({"Statement": {**READ, "Principal": ["*"]}}, "not supported: Principal"),
        ({"Version": "2", "Statement": READ}, "Version must be"),
        ({"Statement": {**READ, "Condition": {"Like": {"acs:SourceIp": "1"}}}}, "unknown condition operator 'Like'"),
        ({"Statement": {**READ, "Condition": {"IpAddress": {"acs:SourceIp": "1.2.3"}}}}, "IpAddress acs:SourceIp: "),
        ({"Statement": {**READ, "Condition": {"Bool": {"acs:SecureTransport": [True, False]}}}}, "takes one value"),
        ({"Statement": {**READ, "Condition": {"StringEquals": {"Prefix": "a"}}}}, "SERVICE:NAME"),
        ({"Statement": {**READ, "Action": "GetObject"}}, "SERVICE:OPERATION"),
        ({"Statement": {**READ, "Resource": "bkt/*"}}, "acs:SERVICE:REGION:OWNER:NAME"),
        ({"Statement": {"Effect": "Allow", "Action": "*"}}, "one of Resource/NotResource"),
        ({"Statement": {**READ, "Action": [1]}}, "Action must be"),
    ],
)
def test_a_policy_that_would_be_misread_is_refused(document: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy.parse(document)
