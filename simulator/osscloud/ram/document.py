"""Users, roles, policies and identity providers as one JSON document: what a test or the control interface sets up at
once, and what there is.

    {"policies":       [{"name", "document"}],
     "users":          [{"name", "policies": [name or document], "keys": how many, or [{"id", "secret"}]}],
     "roles":          [{"name", "trust", "policies", "max_session_seconds"}],
     "oidc_providers": [{"name", "issuer", "client_ids", "jwks"}]}

Every entry may have an "account". Any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osscloud.accounts import AccessKey, Accounts

__all__ = ["describe", "establish"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    account: str = ""


class _Policy(_Entry):
    document: dict[str, Any]


class _Key(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: str = ""
    secret: str = ""


class _User(_Entry):
    policies: list[str | dict[str, Any]] = []
    keys: int | list[_Key] = Field(0)


class _Role(_Entry):
    trust: dict[str, Any]
    policies: list[str | dict[str, Any]] = []
    max_session_seconds: int = 3600


class _Provider(_Entry):
    issuer: str
    client_ids: list[str]
    jwks: dict[str, Any]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    policies: list[_Policy] = []
    users: list[_User] = []
    roles: list[_Role] = []
    oidc_providers: list[_Provider] = []


def establish(document: Mapping[str, object], accounts: Accounts) -> dict[str, object]:
    """Creates everything that the document names, or nothing; what was created, with secrets.

    Raises ValueError: not such a document, a name that is taken, a policy that RAM would not take."""
    try:
        wanted = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}") from error
    restore = _remember(accounts)
    try:
        return _create(wanted, accounts)
    except ValueError:
        restore()
        raise


def _remember(accounts: Accounts) -> Callable[[], None]:
    directory = accounts.ram.directory
    tables: list[dict[Any, Any]] = [
        accounts.keys,
        directory.users,
        directory.roles,
        directory.policies,
        directory.providers,
    ]
    kept = [dict(table) for table in tables]

    def restore() -> None:
        for table, before in zip(tables, kept, strict=True):
            for name in [name for name in table if name not in before]:
                del table[name]

    return restore


def _create(wanted: _Document, accounts: Accounts) -> dict[str, object]:
    ram = accounts.ram
    for policy in wanted.policies:
        ram.create_policy(policy.name, policy.document, account=policy.account)
    users: list[dict[str, object]] = []
    for entry in wanted.users:
        user = ram.create_user(entry.name, account=entry.account, policies=entry.policies)
        asked = [_Key()] * entry.keys if isinstance(entry.keys, int) else entry.keys
        made = [
            accounts.create_key(id=key.id, secret=key.secret, account=entry.account, user=user.name) for key in asked
        ]
        keys = [{"id": key.id, "secret": key.secret} for key in made]
        users.append({"name": user.name, "account": user.account, "id": user.id, "arn": user.arn, "keys": keys})
    roles = [
        ram.create_role(
            role.name,
            role.trust,
            account=role.account,
            policies=role.policies,
            max_session_seconds=role.max_session_seconds,
        )
        for role in wanted.roles
    ]
    providers = [
        ram.create_oidc_provider(
            entry.name, issuer=entry.issuer, client_ids=entry.client_ids, jwks=entry.jwks, account=entry.account
        )
        for entry in wanted.oidc_providers
    ]
    return {
        "policies": [{"name": policy.name} for policy in wanted.policies],
        "users": users,
        "roles": [{"name": role.name, "account": role.account, "id": role.id, "arn": role.arn} for role in roles],
        "oidc_providers": [{"name": p.name, "account": p.account, "arn": p.arn} for p in providers],
    }


def describe(accounts: Accounts) -> dict[str, object]:
    """Everything there is, without secrets."""
    directory = accounts.ram.directory

    def keys(name: str, account: str) -> list[str]:
        owned: list[AccessKey] = list(accounts.keys.values())
        return [key.id for key in owned if (key.user, key.account) == (name, account)]

    return {
        "policies": [{"name": name, "account": account} for account, name in directory.policies],
        "users": [
            {
                "name": user.name,
                "account": user.account,
                "id": user.id,
                "arn": user.arn,
                "policies": [*user.policies, *("(inline)" for _ in user.documents)],
                "keys": keys(user.name, user.account),
            }
            for user in list(directory.users.values())
        ],
        "roles": [
            {
                "name": role.name,
                "account": role.account,
                "id": role.id,
                "arn": role.arn,
                "policies": [*role.policies, *("(inline)" for _ in role.documents)],
            }
            for role in list(directory.roles.values())
        ],
        "oidc_providers": [
            {"name": p.name, "account": p.account, "arn": p.arn, "issuer": p.issuer, "client_ids": list(p.client_ids)}
            for p in list(directory.providers.values())
        ],
        "instance_role": directory.instance_roles.get("role", ""),
    }
