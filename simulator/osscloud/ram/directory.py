"""The users, roles, policies and identity providers of all accounts: what the RAM console manages.

A change is seen by the next request. Any thread may call every method.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from osscloud.ram.entity import OidcProvider, Role, Session, User
from osscloud.ram.policy import Policy, PolicyError, parse_text
from osscloud.ram.system import SYSTEM_POLICIES

__all__ = ["DEFAULT_ACCOUNT", "Directory", "Ram"]

DEFAULT_ACCOUNT = "1000000000000001"
"""Owner id of buckets and keys that name no account; real ids are 16 decimal digits as well."""

Attachable = str | Mapping[str, object] | Policy
"""A policy to attach: the name of a system or custom one, a document, or a `Policy`."""

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_ARN = re.compile(r"acs:ram::(\d+):(role|user|oidc-provider)/(.+)")


@dataclass(slots=True)
class Directory:
    """Everything `Ram` knows, by (account, name); policies are JSON text. instance_roles: "role" is the ARN of the role
    that the metadata service gives credentials of."""

    users: dict[tuple[str, str], User] = field(default_factory=dict)
    roles: dict[tuple[str, str], Role] = field(default_factory=dict)
    policies: dict[tuple[str, str], str] = field(default_factory=dict)
    providers: dict[tuple[str, str], OidcProvider] = field(default_factory=dict)
    instance_roles: dict[str, str] = field(default_factory=dict)


class Ram:
    """rng: source of ids (the service's own). account "" is the default account everywhere."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.Lock()
        self.directory = Directory()

    # Users

    def create_user(self, name: str, *, account: str = "", policies: Sequence[Attachable] = ()) -> User:
        """A user without keys (`Accounts.create_key(user=...)`). Raises ValueError: name taken or not possible,
        unknown policy, PolicyError for a document that is none."""
        account = account or DEFAULT_ACCOUNT
        names, documents = self._split(account, policies)
        with self._lock:
            key = self._free(self.directory.users, account, name)
            user = User(name, account, self._id("2"), names, documents)
            self.directory.users[key] = user
            return user

    def user(self, name: str, *, account: str = "") -> User | None:
        return self.directory.users.get((account or DEFAULT_ACCOUNT, name))

    def delete_user(self, name: str, *, account: str = "") -> None:
        """Raises KeyError. The user's keys are refused from now on."""
        with self._lock:
            del self.directory.users[account or DEFAULT_ACCOUNT, name]

    def set_user_policies(self, name: str, policies: Sequence[Attachable], *, account: str = "") -> User:
        """Replaces everything that is attached to a user. Raises KeyError, ValueError."""
        account = account or DEFAULT_ACCOUNT
        names, documents = self._split(account, policies)
        with self._lock:
            user = replace(self.directory.users[account, name], policies=names, documents=documents)
            self.directory.users[account, name] = user
            return user

    # Roles

    def create_role(
        self,
        name: str,
        trust: Mapping[str, object],
        *,
        account: str = "",
        policies: Sequence[Attachable] = (),
        max_session_seconds: int = 3600,
    ) -> Role:
        """trust: the trust policy's document, {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"RAM"|"Service"|"Federated": [...]}}]}. max_session_seconds: 3600 to 43200. Raises ValueError."""
        account = account or DEFAULT_ACCOUNT
        if not 3600 <= max_session_seconds <= 43200:
            raise ValueError(f"a role's sessions last 3600 to 43200 s at most, not {max_session_seconds}")
        Policy.parse(trust, "trust")
        names, documents = self._split(account, policies)
        with self._lock:
            key = self._free(self.directory.roles, account, name)
            role = Role(name, account, self._id("3"), json.dumps(trust), names, documents, max_session_seconds)
            self.directory.roles[key] = role
            return role

    def role(self, name: str, *, account: str = "") -> Role | None:
        return self.directory.roles.get((account or DEFAULT_ACCOUNT, name))

    def delete_role(self, name: str, *, account: str = "") -> None:
        """Raises KeyError. Sessions of the role have no permissions from now on."""
        with self._lock:
            del self.directory.roles[account or DEFAULT_ACCOUNT, name]

    def set_role_policies(self, name: str, policies: Sequence[Attachable], *, account: str = "") -> Role:
        """Replaces everything that is attached to a role. Raises KeyError, ValueError."""
        account = account or DEFAULT_ACCOUNT
        names, documents = self._split(account, policies)
        with self._lock:
            role = replace(self.directory.roles[account, name], policies=names, documents=documents)
            self.directory.roles[account, name] = role
            return role

    def role_by_arn(self, arn: str) -> Role | None:
        """arn: "acs:ram::UID:role/NAME"; role names are not case-sensitive in an ARN."""
        match = _ARN.fullmatch(arn)
        if match is None or match[2] != "role":
            return None
        exact = self.directory.roles.get((match[1], match[3]))
        if exact is not None:
            return exact
        wanted = match[3].lower()
        return next((r for (a, n), r in self.directory.roles.items() if a == match[1] and n.lower() == wanted), None)

    # Policies

    def create_policy(self, name: str, document: Mapping[str, object], *, account: str = "") -> None:
        """A custom policy, to attach by name. Raises ValueError."""
        account = account or DEFAULT_ACCOUNT
        Policy.parse(document)
        with self._lock:
            if name in SYSTEM_POLICIES:
                raise ValueError(f"{name} is the name of a system policy")
            self.directory.policies[self._free(self.directory.policies, account, name)] = json.dumps(document)

    def attached(self, entity: User | Role) -> list[Policy]:
        """The policies of a user or a role; names that have gone count for nothing."""
        texts = list(entity.documents)
        for name in entity.policies:
            text = SYSTEM_POLICIES.get(name) or self.directory.policies.get((entity.account, name))
            if text is not None:
                texts.append(text)
        return [parse_text(text) for text in texts]

    # Identity providers

    def create_oidc_provider(
        self,
        name: str,
        *,
        issuer: str,
        client_ids: Sequence[str],
        jwks: Mapping[str, object],
        account: str = "",
    ) -> OidcProvider:
        """issuer: URL as the tokens say it. client_ids: accepted audiences. jwks: {"keys": [...]}, RSA. Raises
        ValueError."""
        account = account or DEFAULT_ACCOUNT
        if not issuer.startswith("https://"):
            raise ValueError(f"the issuer of an OIDC provider is an https URL, not {issuer!r}")
        if not client_ids:
            raise ValueError("an OIDC provider needs a client id")
        with self._lock:
            key = self._free(self.directory.providers, account, name)
            provider = OidcProvider(name, account, issuer, tuple(client_ids), json.dumps(jwks))
            self.directory.providers[key] = provider
            return provider

    def provider_by_arn(self, arn: str) -> OidcProvider | None:
        """arn: "acs:ram::UID:oidc-provider/NAME"."""
        match = _ARN.fullmatch(arn)
        if match is None or match[2] != "oidc-provider":
            return None
        return self.directory.providers.get((match[1], match[3]))

    def session_role(self, session: Session) -> Role | None:
        """The role of a session, None when it has been deleted (or deleted and made again: another id)."""
        role = self.directory.roles.get((session.account, session.role))
        return role if role is not None and role.id == session.role_id else None

    def _id(self, first: str) -> str:
        return first + "".join(self._rng.choices("0123456789", k=17))

    @staticmethod
    def _free(table: Mapping[tuple[str, str], object], account: str, name: str) -> tuple[str, str]:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name: 1 to 64 letters, digits and . _ @ -")
        if (account, name) in table:
            raise ValueError(f"{name} exists already")
        return account, name

    def _split(self, account: str, policies: Sequence[Attachable]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        names: list[str] = []
        documents: list[str] = []
        for policy in policies:
            if isinstance(policy, Policy):
                documents.append(policy.text())
            elif isinstance(policy, str):
                if policy not in SYSTEM_POLICIES and (account, policy) not in self.directory.policies:
                    known = ", ".join(SYSTEM_POLICIES)
                    raise PolicyError(f"there is no policy {policy!r}; system policies: {known}")
                names.append(policy)
            else:
                Policy.parse(policy)
                documents.append(json.dumps(policy))
        return tuple(names), tuple(documents)
