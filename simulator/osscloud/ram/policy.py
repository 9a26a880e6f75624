"""The policy language: statements, policies and what they decide.

One language for what is attached to a user or a role (identity policy), given with AssumeRole (session policy), put on
a bucket (bucket policy: with Principal) or on a role (trust policy: with Principal, without Resource). Pure functions
over immutable values; any thread. Source: "Policy structure and syntax" of RAM, "Policy syntax and elements" of OSS.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from osscloud.ram.condition import NO_CONTEXT, Condition, Context, PolicyError, parse_conditions, wildcard

__all__ = ["Decision", "Kind", "Policy", "PolicyError", "Statement", "combine", "parse_text"]

Kind = Literal["identity", "bucket", "trust"]

MAX_LENGTH = 6144
"""Characters of an identity policy's document ("MalformedPolicyDocument" above it in the RAM documentation)."""


class Decision(enum.Enum):
    """What a policy says to one action on one resource. True when the action may go ahead."""

    ALLOWED = "Allowed"
    IMPLICIT_DENY = "ImplicitDeny"
    EXPLICIT_DENY = "ExplicitDeny"

    def __bool__(self) -> bool:
        return self is Decision.ALLOWED


def combine(decisions: Iterable[Decision]) -> Decision:
    """Of several policies: a Deny in any beats an Allow in any, silence of all denies."""
    found = Decision.IMPLICIT_DENY
    for decision in decisions:
        if decision is Decision.EXPLICIT_DENY:
            return decision
        if decision is Decision.ALLOWED:
            found = decision
    return found


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy.

    effect: Allow or Deny. actions: "oss:GetObject", "oss:Get*", "*"; case does not matter. resources:
    "acs:oss:REGION:OWNER:bucket[/key]" with wildcards, case matters; "acs:oss:*:*:bkt/*" does not cover "bkt" itself.
    not_actions, not_resources: used instead when the document says NotAction, NotResource. conditions: all must hold.
    principals: of a bucket policy as written ("*", a UID, an ARN with wildcards), of a trust policy with their type in
    front ("RAM acs:ram::1:root").
    """

    effect: Literal["Allow", "Deny"]
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    principals: tuple[str, ...] = ()

    def covers(self, action: str, resource: str, context: Context = NO_CONTEXT) -> bool:
        """True when the statement speaks about this action on this resource by such a request, whoever sends it."""
        if self.not_actions:
            if any(wildcard(a, re.IGNORECASE).fullmatch(action) for a in self.not_actions):
                return False
        elif not any(wildcard(a, re.IGNORECASE).fullmatch(action) for a in self.actions):
            return False
        if self.not_resources:
            if any(_resource_matches(r, resource) for r in self.not_resources):
                return False
        elif not any(_resource_matches(r, resource) for r in self.resources):
            return False
        return all(condition.holds(context) for condition in self.conditions)


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern == "*":
        return True
    wanted = pattern.split(":", 4)
    given = resource.split(":", 4)
    if len(wanted) != 5 or len(given) != 5:
        return False
    # OSS's documents write the region of a resource with and without "oss-".
    wanted[2] = wanted[2].removeprefix("oss-")
    for want, have in zip(wanted[:4], given[:4], strict=True):
        # A request that leaves region or owner open ("acs:oss:*:*:...") matches whatever the policy names there.
        if have != "*" and not wildcard(want).fullmatch(have):
            return False
    return wildcard(wanted[4]).fullmatch(given[4]) is not None


@dataclass(frozen=True, slots=True)
class Policy:
    """A permission policy: Deny beats Allow, silence denies."""

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, document: Mapping[str, object], kind: Kind = "identity") -> Policy:
        """From the JSON form, {"Version": "1", "Statement": [{"Effect", "Action", "Resource", "Condition"}]}; Action
        and Resource are a string or a list, NotAction and NotResource stand for their opposite. A bucket policy has
        Principal as well, a trust policy has it and no Resource.

        Raises PolicyError (a ValueError) on any other shape: a policy that would be read wrongly is refused."""
        if not isinstance(document, Mapping):
            raise PolicyError("a policy is a JSON object")
        _refuse_unknown(document, {"Version", "Statement"}, "a policy")
        if document.get("Version", "1") != "1":
            raise PolicyError(f'Version must be "1", not {document["Version"]!r}')
        raw = document.get("Statement")
        entries = [raw] if isinstance(raw, Mapping) else raw
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            raise PolicyError("a policy needs a non-empty Statement list")
        return cls(tuple(_parse_statement(entry, kind) for entry in entries))

    def decide(self, action: str, resource: str, context: Context = NO_CONTEXT) -> Decision:
        """action: "oss:PutObject"; resource: "acs:oss:*:*:bucket/key". Principals are not looked at."""
        decision = Decision.IMPLICIT_DENY
        for statement in self.statements:
            if statement.covers(action, resource, context):
                if statement.effect == "Deny":
                    return Decision.EXPLICIT_DENY
                decision = Decision.ALLOWED
        return decision

    def text(self) -> str:
        """The policy as a JSON document; `parse_text` of it gives an equal policy."""
        return json.dumps({"Version": "1", "Statement": [_document(statement) for statement in self.statements]})


@lru_cache(maxsize=1024)
def parse_text(text: str, kind: Kind = "identity") -> Policy:
    """A policy from the text of its document. Raises PolicyError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"the policy is not JSON: {error}") from error
    return Policy.parse(document, kind)


def _refuse_unknown(entry: Mapping[str, object], known: set[str], what: str) -> None:
    unknown = sorted(str(name) for name in entry if name not in known)
    if unknown:
        raise PolicyError(f"{what} has elements that are not supported: {', '.join(unknown)}")


def _parse_statement(entry: object, kind: Kind) -> Statement:
    if not isinstance(entry, Mapping):
        raise PolicyError(f"a policy statement must be an object, not {entry!r}")
    known = {"Effect", "Action", "NotAction", "Condition", "Sid"}
    known |= {"Principal"} if kind != "identity" else set()
    known |= {"Resource", "NotResource"} if kind != "trust" else set()
    _refuse_unknown(entry, known, "policy statement")
    effect = entry.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"Effect must be Allow or Deny, not {effect!r}")
    wrong = ("Action" in entry) == ("NotAction" in entry)
    if kind == "trust":
        if wrong:
            raise PolicyError("a trust policy statement needs one of Action/NotAction")
    elif wrong or ("Resource" in entry) == ("NotResource" in entry):
        raise PolicyError("a policy statement needs one of Action/NotAction and one of Resource/NotResource")
    if kind != "identity" and "Principal" not in entry:
        raise PolicyError(f"a {kind} policy statement needs a Principal")
    statement = Statement(
        effect=effect,
        actions=_strings(entry.get("Action"), "Action"),
        resources=("*",) if kind == "trust" else _strings(entry.get("Resource"), "Resource"),
        not_actions=_strings(entry.get("NotAction"), "NotAction"),
        not_resources=_strings(entry.get("NotResource"), "NotResource"),
        conditions=parse_conditions(entry["Condition"]) if "Condition" in entry else (),
        principals=_principals(entry.get("Principal"), kind),
    )
    for action in (*statement.actions, *statement.not_actions):
        service, colon, name = action.partition(":")
        if action != "*" and not (service and colon and name):
            raise PolicyError(f"Action must be SERVICE:OPERATION or *, not {action!r}")
    for resource in (*statement.resources, *statement.not_resources):
        if resource != "*" and (not resource.startswith("acs:") or resource.count(":") < 4):
            raise PolicyError(f"Resource must be acs:SERVICE:REGION:OWNER:NAME or *, not {resource!r}")
    return statement


def _strings(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise PolicyError(f"{name} must be a string or a non-empty list of strings, not {value!r}")


def _principals(value: object, kind: Kind) -> tuple[str, ...]:
    if kind == "identity":
        return ()
    if kind == "bucket":
        # OSS: an empty list is everyone.
        return ("*",) if value == [] else _strings(value, "Principal")
    if not isinstance(value, Mapping) or not value:
        raise PolicyError("the Principal of a trust policy is an object of RAM, Service and Federated")
    found: list[str] = []
    for family, names in value.items():
        if family not in ("RAM", "Service", "Federated"):
            raise PolicyError(f"Principal has RAM, Service and Federated, not {family!r}")
        found += (f"{family} {name}" for name in _strings(names, f"Principal {family}"))
    return tuple(found)


def _document(statement: Statement) -> dict[str, object]:
    document: dict[str, object] = {"Effect": statement.effect}
    for name, values in (
        ("Action", statement.actions),
        ("NotAction", statement.not_actions),
        ("Resource", statement.resources),
        ("NotResource", statement.not_resources),
        ("Principal", statement.principals),
    ):
        if values:
            document[name] = list(values)
    if statement.conditions:
        block: dict[str, dict[str, list[str]]] = {}
        for condition in statement.conditions:
            block.setdefault(condition.operator, {})[condition.key] = list(condition.values)
        document["Condition"] = block
    return document
