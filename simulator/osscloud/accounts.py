"""Accounts, their access keys, and what a key may do.

Knows nothing of signatures (`signing`) or of requests. Any thread may call every method; a change is seen by the next
request, as a rotated key is on the real service.
"""

from __future__ import annotations

import enum
import functools
import random
import re
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["DEFAULT_ACCOUNT", "AccessKey", "Accounts", "Decision", "Policy", "Statement"]

DEFAULT_ACCOUNT = "1000000000000001"
"""Owner id of buckets and keys that name no account; real ids are 16 decimal digits as well."""

_ID_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One AccessKey pair. account: owner id of the account it belongs to; a disabled key is refused by name."""

    id: str
    secret: str
    account: str
    status: Literal["Active", "Disabled"] = "Active"


class Decision(enum.Enum):
    """What a policy says to one action on one resource. True when the action may go ahead."""

    ALLOWED = "Allowed"
    IMPLICIT_DENY = "ImplicitDeny"
    EXPLICIT_DENY = "ExplicitDeny"

    def __bool__(self) -> bool:
        return self is Decision.ALLOWED


@functools.lru_cache(maxsize=1024)
def _wildcard(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """`*` matches any run of characters (with "/"), `?` exactly one; nothing else is special."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.DOTALL | flags)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    effect: Allow or Deny. actions: "oss:GetObject", "oss:Get*", "*"; case does not matter. resources:
    "acs:oss:REGION:OWNER:bucket[/key]" with wildcards, case matters; "acs:oss:*:*:bkt/*" does not cover "bkt" itself.
    not_actions, not_resources: used instead when the document says NotAction, NotResource.
    """

    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()

    def covers(self, action: str, resource: str) -> bool:
        """True when the statement speaks about this action on this resource."""
        if self.not_actions:
            if any(_wildcard(a, re.IGNORECASE).fullmatch(action) for a in self.not_actions):
                return False
        elif not any(_wildcard(a, re.IGNORECASE).fullmatch(action) for a in self.actions):
            return False
        if self.not_resources:
            return not any(_resource_matches(r, resource) for r in self.not_resources)
        return any(_resource_matches(r, resource) for r in self.resources)


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern == "*":
        return True
    wanted = pattern.split(":", 4)
    given = resource.split(":", 4)
    if len(wanted) != 5 or len(given) != 5:
        return False
    for want, have in zip(wanted[:4], given[:4], strict=True):
        # A request that leaves region or owner open ("acs:oss:*:*:...") matches whatever the policy names there.
        if have != "*" and not _wildcard(want).fullmatch(have):
            return False
    return _wildcard(wanted[4]).fullmatch(given[4]) is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """A permission policy: Deny beats Allow, silence denies."""

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> Policy:
        """From the JSON form, {"Version": "1", "Statement": [{"Effect", "Action", "Resource"}]}; Action and Resource
        are a string or a list, NotAction and NotResource are understood.

        Raises ValueError on any other shape, and on Condition, which is not evaluated: a policy that would be read
        wrongly is refused."""
        raw = document.get("Statement")
        entries = [raw] if isinstance(raw, Mapping) else raw
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            raise ValueError("a policy needs a non-empty Statement list")
        return cls(tuple(_parse_statement(entry) for entry in entries))

    def decide(self, action: str, resource: str) -> Decision:
        """action: "oss:PutObject"; resource: "acs:oss:*:*:bucket/key"."""
        decision = Decision.IMPLICIT_DENY
        for statement in self.statements:
            if statement.covers(action, resource):
                if statement.effect == "Deny":
                    return Decision.EXPLICIT_DENY
                decision = Decision.ALLOWED
        return decision


def _parse_statement(entry: object) -> Statement:
    if not isinstance(entry, Mapping):
        raise ValueError(f"a policy statement must be an object, not {entry!r}")
    unknown = set(entry) - {"Effect", "Action", "Resource", "NotAction", "NotResource"}
    if unknown:
        raise ValueError(
            f"policy statement has elements that are not supported: {', '.join(sorted(map(str, unknown)))}"
        )
    effect = entry.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise ValueError(f"Effect must be Allow or Deny, not {effect!r}")
    if ("Action" in entry) == ("NotAction" in entry) or ("Resource" in entry) == ("NotResource" in entry):
        raise ValueError("a policy statement needs one of Action/NotAction and one of Resource/NotResource")
    return Statement(
        effect=effect,
        actions=_strings(entry.get("Action"), "Action"),
        resources=_strings(entry.get("Resource"), "Resource"),
        not_actions=_strings(entry.get("NotAction"), "NotAction"),
        not_resources=_strings(entry.get("NotResource"), "NotResource"),
    )


def _strings(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"{name} must be a string or a non-empty list of strings, not {value!r}")


class Accounts:
    """The access keys of one cloud. rng: source of generated ids and secrets (the service's own)."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._lock = threading.Lock()
        self._keys: dict[str, AccessKey] = {}
        self._policies: dict[str, Policy] = {}

    def create_key(self, *, id: str = "", secret: str = "", account: str = "") -> AccessKey:
        """A new active key; what is left empty is generated. Raises ValueError when the id is taken."""
        with self._lock:
            chosen = id or self._generate_id()
            if chosen in self._keys:
                raise ValueError(f"access key {chosen!r} exists already")
            key = AccessKey(
                id=chosen,
                secret=secret or "".join(self._rng.choices(_ID_ALPHABET, k=30)),
                account=account or DEFAULT_ACCOUNT,
            )
            self._keys[chosen] = key
            return key

    def _generate_id(self) -> str:
        # The service's own form: "LTAI5t" and 18 letters and digits.
        return "LTAI5t" + "".join(self._rng.choices(_ID_ALPHABET, k=18))

    def disable(self, id: str) -> None:
        """From now on requests signed with the key are refused. Raises KeyError for an unknown id."""
        self._set_status(id, "Disabled")

    def enable(self, id: str) -> None:
        """Undoes `disable`. Raises KeyError for an unknown id."""
        self._set_status(id, "Active")

    def _set_status(self, id: str, status: Literal["Active", "Disabled"]) -> None:
        with self._lock:
            self._keys[id] = replace(self._keys[id], status=status)

    def delete(self, id: str) -> None:
        """The id is unknown afterwards. Raises KeyError when it is already."""
        with self._lock:
            del self._keys[id]
            self._policies.pop(id, None)

    def find(self, id: str) -> AccessKey | None:
        return self._keys.get(id)

    def set_policy(self, id: str, policy: Policy | None) -> None:
        """Limits what a key may do; None gives full access back. Raises KeyError for an unknown id."""
        with self._lock:
            if id not in self._keys:
                raise KeyError(id)
            if policy is None:
                self._policies.pop(id, None)
            else:
                self._policies[id] = policy

    def allows(self, id: str, action: str, resource: str) -> Decision:
        """What the key's policy says; a key without a policy may do everything.

        action: "oss:PutObject"; resource: "acs:oss:*:*:bucket/key", "acs:oss:*:*:bucket", "acs:oss:*:*:*"."""
        policy = self._policies.get(id)
        return Decision.ALLOWED if policy is None else policy.decide(action, resource)
