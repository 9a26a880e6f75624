"""What RAM and STS keep: users, roles, identity providers, role sessions. Immutable values of plain types, so that they
can be written down and read again; whoever changes one replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OidcProvider", "Role", "Session", "User"]


@dataclass(frozen=True, slots=True)
class User:
    """A RAM user. account: owner id of the account that it belongs to; id: its own UID, 18 digits. policies: names of
    attached policies, system or custom ones. documents: policies of its own, as JSON text."""

    name: str
    account: str
    id: str
    policies: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def arn(self) -> str:
        return f"acs:ram::{self.account}:user/{self.name}"


@dataclass(frozen=True, slots=True)
class Role:
    """A RAM role. trust: its trust policy as JSON text. max_session_seconds: longest DurationSeconds."""

    name: str
    account: str
    id: str
    trust: str
    policies: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    max_session_seconds: int = 3600

    @property
    def arn(self) -> str:
        return f"acs:ram::{self.account}:role/{self.name}"


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """A registered OIDC identity provider. issuer: its URL, as `iss` of a token says it. client_ids: audiences that are
    accepted. jwks: its public keys as the JSON text of a JWK set. The real service fetches that from the issuer; here
    it is given, so that no request leaves the process."""

    name: str
    account: str
    issuer: str
    client_ids: tuple[str, ...]
    jwks: str

    @property
    def arn(self) -> str:
        return f"acs:ram::{self.account}:oidc-provider/{self.name}"


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials: a role that somebody assumed. account, role, role_id: of the role. name: RoleSessionName.
    policy: session policy as JSON text, "" for none. expires: seconds since the epoch."""

    access_key_id: str
    secret: str
    token: str
    account: str
    role: str
    role_id: str
    name: str
    policy: str
    expires: float

    @property
    def arn(self) -> str:
        return f"acs:sts::{self.account}:assumed-role/{self.role}/{self.name}"
