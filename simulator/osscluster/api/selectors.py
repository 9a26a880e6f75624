"""Label selectors and field selectors, as kubectl's -l and --field-selector take them.

Source: apimachinery `pkg/labels/selector.go`, `pkg/fields`, and `GetAttrs` of each kind for what may be selected.
Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from osscluster.api.objects import KubeObject
from osscluster.api.refusals import bad_request

__all__ = ["fields", "labels", "matches_selector"]

Predicate = Callable[[KubeObject], bool]

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)$")
_PAIR = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>\S*)$")
_KEY = re.compile(r"^(?P<not>!?)\s*(?P<key>[A-Za-z0-9][-A-Za-z0-9_./]*)$")

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "ReplicaSet": ("status.replicas",),
}
_EVERY = ("metadata.name", "metadata.namespace")


def labels(text: str) -> Predicate:
    """An object's labels against a selector: "a=b,c!=d,e in (f,g),h,!i". Raises ApiError for what cannot be read."""
    tests = [_label_test(part) for part in _split(text)]
    return lambda object: all(test(object["metadata"].get("labels") or {}) for test in tests)


def _label_test(part: str) -> Callable[[Mapping[str, str]], bool]:
    if (found := _SET.match(part)) is not None:
        key, values = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda given: given.get(key) in values
        return lambda given: given.get(key) not in values
    if (found := _PAIR.match(part)) is not None:
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda given: given.get(key) != value
        return lambda given: given.get(key) == value
    if (found := _KEY.match(part)) is not None:
        key, absent = found["key"], bool(found["not"])
        return lambda given: (key in given) is not absent
    raise bad_request(f"unable to parse requirement: {part!r} is no label requirement")


def fields(text: str, kind: str) -> Predicate:
    """An object's fields against a selector: "status.phase=Running,metadata.name!=x". Raises ApiError for a field that
    the API server cannot select by."""
    tests = []
    for part in _split(text):
        found = _PAIR.match(part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path = found["key"]
        if path not in _EVERY and path not in _FIELDS.get(kind, ()):
            raise bad_request(f"field label not supported: {path}")
        tests.append((path, found["value"].replace("\\", ""), found["op"] != "!="))
    return lambda object: all((_field(object, path) == value) is wanted for path, value, wanted in tests)


def _field(object: KubeObject, path: str) -> str:
    if path == "source":
        return str((object.get("source") or {}).get("component", ""))
    value: Any = object
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path in ("spec.unschedulable", "spec.hostNetwork"):
        return "true" if value else "false"
    if path == "status.replicas":
        return str(value or 0)
    return "" if value is None else str(value)


def _split(text: str) -> list[str]:
    """At commas that are not in parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def matches_selector(selector: Mapping[str, Any] | None, given: Mapping[str, str]) -> bool:
    """A LabelSelector of a workload (matchLabels, matchExpressions) against labels; an empty one matches nothing that a
    controller may own."""
    if not selector:
        return False
    if any(given.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression.get("key", ""), expression.get("values") or ()
        match expression.get("operator"):
            case "In" if given.get(key) not in values:
                return False
            case "NotIn" if given.get(key) in values:
                return False
            case "Exists" if key not in given:
                return False
            case "DoesNotExist" if key in given:
                return False
    return True
