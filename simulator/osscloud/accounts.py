"""Accounts: access keys, temporary credentials, and (`ram`) the users and roles that they belong to.

Knows nothing of signatures (`signing`) or of requests. Any thread may call every method; a change is seen by the next
request, as a rotated key is on the real service. What has to outlive the process are `keys`, `sessions` and
`ram.directory`: dicts of plain values.
"""

from __future__ import annotations

import base64
import random
import re
import string
import threading
from dataclasses import dataclass, replace
from typing import Literal

from osscloud.ram.directory import DEFAULT_ACCOUNT, Ram
from osscloud.ram.entity import Role, Session, User
from osscloud.ram.policy import Decision, Policy, Statement, combine

__all__ = ["DEFAULT_ACCOUNT", "AccessKey", "Accounts", "Decision", "Policy", "Session", "Statement"]

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ID_ALPHABET = string.ascii_letters + string.digits

_KEPT_AFTER_EXPIRY = 86_400.0
"""Seconds for which an expired session is still told from one that never was."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One AccessKey pair. account: owner id of the account it belongs to; a disabled key is refused by name. user: the
    RAM user that it is a key of; "" for a key of the account itself, which may do everything with what is its own."""

    id: str
    secret: str
    account: str
    status: Literal["Active", "Disabled"] = "Active"
    user: str = ""


class Accounts:
    """The access keys of one cloud. rng: source of generated ids and secrets (the service's own).

    keys: by id. sessions: temporary credentials by access key id, with those that expired lately. ram: users, roles,
    policies."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.RLock()
        self.keys: dict[str, AccessKey] = {}
        self.sessions: dict[str, Session] = {}
        self.ram = Ram(rng)

    def create_key(self, *, id: str = "", secret: str = "", account: str = "", user: str = "") -> AccessKey:
        """A new active key; what is left empty is generated. user: a RAM user of the account; "" makes a key of the
        account itself. Raises ValueError when the id is taken or would not survive in a header or a password file,
        KeyError when there is no such user."""
        if id and not _ID.fullmatch(id):
            raise ValueError(f"{id!r} is no access key id: letters, digits, '.', '_' and '-', at most 128")
        with self._lock:
            chosen = id or self._generate_id()
            if chosen in self.keys:
                raise ValueError(f"access key {chosen!r} exists already")
            if user and self.ram.user(user, account=account) is None:
                raise KeyError(user)
            key = AccessKey(
                id=chosen,
                secret=secret or self._letters(30),
                account=account or DEFAULT_ACCOUNT,
                user=user,
            )
            self.keys[chosen] = key
            return key

    def _letters(self, count: int) -> str:
        return "".join(self._rng.choices(_ID_ALPHABET, k=count))

    def _generate_id(self) -> str:
        # The service's own form: "LTAI5t" and 18 letters and digits.
        return "LTAI5t" + self._letters(18)

    def disable(self, id: str) -> None:
        """From now on requests signed with the key are refused. Raises KeyError for an unknown id."""
        self._set_status(id, "Disabled")

    def enable(self, id: str) -> None:
        """Undoes `disable`. Raises KeyError for an unknown id."""
        self._set_status(id, "Active")

    def _set_status(self, id: str, status: Literal["Active", "Disabled"]) -> None:
        with self._lock:
            self.keys[id] = replace(self.keys[id], status=status)

    def delete(self, id: str) -> None:
        """The id is unknown afterwards. Raises KeyError when it is already."""
        with self._lock:
            del self.keys[id]

    def find(self, id: str) -> AccessKey | None:
        """A key by id, not one of temporary credentials."""
        return self.keys.get(id)

    def user_of(self, key: AccessKey) -> User | None:
        """The RAM user that a key belongs to, None for a key of the account itself, or of a user that has gone."""
        return self.ram.user(key.user, account=key.account) if key.user else None

    def set_policy(self, id: str, policy: Policy | None) -> None:
        """Limits what a key may do: makes it the key of a RAM user of its own, with that policy; None gives full access
        back. Raises KeyError for an unknown id."""
        with self._lock:
            key = self.keys[id]
            if policy is None:
                self.keys[id] = replace(key, user="")
                return
            name = key.user or key.id
            if self.ram.user(name, account=key.account) is None:
                self.ram.create_user(name, account=key.account, policies=[policy])
            else:
                self.ram.set_user_policies(name, [policy], account=key.account)
            self.keys[id] = replace(key, user=name)

    def allows(self, id: str, action: str, resource: str) -> Decision:
        """What the policies of the key's user say, without regard to conditions that need a request; a key of an
        account itself may do everything.

        action: "oss:PutObject"; resource: "acs:oss:*:*:bucket/key", "acs:oss:*:*:bucket", "acs:oss:*:*:*"."""
        key = self.keys.get(id)
        if key is None or not key.user:
            return Decision.ALLOWED
        user = self.user_of(key)
        policies = [] if user is None else self.ram.attached(user)
        return combine(policy.decide(action, resource) for policy in policies)

    # Temporary credentials

    def open_session(self, role: Role, name: str, *, policy: str = "", expires: float, now: float) -> Session:
        """Temporary credentials of a role. name: RoleSessionName. policy: session policy as JSON text. expires, now:
        seconds since the epoch; what expired a day before `now` is forgotten."""
        with self._lock:
            for gone in [s.access_key_id for s in self.sessions.values() if s.expires + _KEPT_AFTER_EXPIRY < now]:
                del self.sessions[gone]
            id = "STS.N" + self._letters(24)
            session = Session(
                access_key_id=id,
                secret=self._letters(44),
                token=self._token(id),
                account=role.account,
                role=role.name,
                role_id=role.id,
                name=name,
                policy=policy,
                expires=expires,
            )
            self.sessions[id] = session
            return session

    def shared_session(self, role: Role, name: str, *, lifetime: int, renewed_before: int, now: float) -> Session:
        """A session that a service keeps for itself: the same for everybody who asks, until it is about to expire.
        lifetime, renewed_before: seconds."""
        for session in list(self.sessions.values()):
            if (session.role_id, session.name) == (role.id, name) and session.expires - now > renewed_before:
                return session
        return self.open_session(role, name, expires=int(now) + lifetime, now=now)

    def _token(self, id: str) -> str:
        # Real tokens start with CAIS and are some hundred base64 characters; the id in front finds the session.
        return "CAIS" + base64.b64encode(id.encode() + b"\0" + self._rng.randbytes(360)).decode()

    def session(self, access_key_id: str) -> Session | None:
        """The session of a temporary access key id, expired or not."""
        return self.sessions.get(access_key_id)

    def session_of_token(self, token: str) -> Session | None:
        """The session that a security token was given out for, expired or not."""
        try:
            id = base64.b64decode(token.removeprefix("CAIS"), validate=True).partition(b"\0")[0].decode()
        except ValueError:
            return None
        session = self.sessions.get(id)
        return session if session is not None and session.token == token else None
