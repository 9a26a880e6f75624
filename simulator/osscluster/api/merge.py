"""Patches and `apply`: how two versions of an object become one.

Four forms: a JSON patch (RFC 6902), a merge patch (RFC 7386), a strategic merge patch, and the three-way merge of
`kubectl apply`. The last two know which lists are maps by a key; the table is the patchMergeKey tags of Kubernetes' API
types. Nothing here changes its arguments. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osscluster.api.objects import copied
from osscluster.api.refusals import bad_request
from osscluster.api.schema import element, field_types

__all__ = ["MERGE_KEYS", "apply_configuration", "json_patch", "merge_patch", "strategic_patch"]

MERGE_KEYS: Mapping[tuple[str, str], str] = {
    ("PodSpec", "containers"): "name",
    ("PodSpec", "initContainers"): "name",
    ("PodSpec", "ephemeralContainers"): "name",
    ("PodSpec", "volumes"): "name",
    ("PodSpec", "imagePullSecrets"): "name",
    ("PodSpec", "hostAliases"): "ip",
    ("PodSpec", "topologySpreadConstraints"): "topologyKey",
    ("PodSpec", "resourceClaims"): "name",
    ("Container", "volumeMounts"): "mountPath",
    ("Container", "volumeDevices"): "devicePath",
    ("Container", "env"): "name",
    ("Container", "ports"): "containerPort",
    ("EphemeralContainer", "volumeMounts"): "mountPath",
    ("EphemeralContainer", "env"): "name",
    ("PodStatus", "conditions"): "type",
    ("PodStatus", "podIPs"): "ip",
    ("NodeStatus", "conditions"): "type",
    ("NodeStatus", "addresses"): "type",
    ("DeploymentStatus", "conditions"): "type",
    ("ReplicaSetStatus", "conditions"): "type",
    ("StatefulSetStatus", "conditions"): "type",
    ("DaemonSetStatus", "conditions"): "type",
    ("PersistentVolumeClaimStatus", "conditions"): "type",
    ("NamespaceStatus", "conditions"): "type",
    ("ObjectMeta", "ownerReferences"): "uid",
    ("ServiceAccount", "secrets"): "name",
    ("ServiceAccount", "imagePullSecrets"): "name",
}
"""(Go type, field) to the key that tells the items of that list apart."""

_UNION_LISTS = {("ObjectMeta", "finalizers")}
"""Lists of plain values that a merge adds to."""

_ORDER = "$setElementOrder/"
_DELETE_VALUES = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"
_DIRECTIVE = "$patch"


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, Mapping):
        return copied(patch)
    result = copied(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


# JSON patch


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises ApiError (400, or 422 for a `test` that fails and a path that is not there)."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    document = copied(target)
    for operation in operations:
        try:
            name, path = operation["op"], _pointer(operation["path"])
            if name in ("move", "copy"):
                value = copied(_at(document, _pointer(operation["from"])))
                if name == "move":
                    document = _remove(document, _pointer(operation["from"]))
                document = _add(document, path, value)
            elif name == "add":
                document = _add(document, path, copied(operation["value"]))
            elif name == "replace":
                _at(document, path)
                document = _add(_remove(document, path), path, copied(operation["value"]))
            elif name == "remove":
                document = _remove(document, path)
            elif name == "test":
                if _at(document, path) != operation.get("value"):
                    raise bad_request(f"testing value {operation['path']} failed: test failed")
            else:
                raise bad_request(f"Unexpected kind: {name}")
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise bad_request(
                f"the server rejected our request due to an error in our request: {operation!r} cannot be applied"
            ) from error
    return document


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _at(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    holder = _at(document, path[:-1])
    if isinstance(holder, list):
        index = len(holder) if path[-1] == "-" else int(path[-1])
        if not 0 <= index <= len(holder):
            raise IndexError(index)
        holder.insert(index, value)
    else:
        holder[path[-1]] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        return None
    holder = _at(document, path[:-1])
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
    return document


# Strategic merge patch


def strategic_patch(target: Any, patch: Mapping[str, Any], type: str) -> Any:
    """A strategic merge patch, with its directives ($patch, $retainKeys, $deleteFromPrimitiveList, $setElementOrder),
    on an object of a Go type. Raises ApiError."""
    if patch.get(_DIRECTIVE) == "replace":
        return {key: copied(value) for key, value in patch.items() if key != _DIRECTIVE}
    if patch.get(_DIRECTIVE) == "delete":
        return {}
    result = copied(target) if isinstance(target, dict) else {}
    if (kept := patch.get(_RETAIN)) is not None:
        result = {key: value for key, value in result.items() if key in kept}
    known = field_types(type)
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN) or key.startswith(_ORDER):
            continue
        if key.startswith(_DELETE_VALUES):
            field = key.removeprefix(_DELETE_VALUES)
            result[field] = [item for item in result.get(field) or () if item not in value]
            continue
        inner = element(type) if known is None else known.get(key, "")
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = strategic_patch(result.get(key), value, inner)
        elif isinstance(value, list):
            result[key] = _patched_list(result.get(key) or [], value, type, key, inner)
        else:
            result[key] = value
    for key, order in patch.items():
        if key.startswith(_ORDER):
            field = key.removeprefix(_ORDER)
            if isinstance(result.get(field), list):
                result[field] = _ordered(result[field], order, MERGE_KEYS.get((type, field)))
    return result


def _patched_list(items: list[Any], patch: list[Any], type: str, field: str, inner: str) -> list[Any]:
    if (type, field) in _UNION_LISTS:
        return _union(items, patch)
    merge_key = MERGE_KEYS.get((type, field))
    if merge_key is None:
        return copied(patch)
    if any(isinstance(item, Mapping) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [copied(item) for item in patch if item.get(_DIRECTIVE) != "replace"]
    result = copied(items)
    for item in patch:
        if not isinstance(item, Mapping) or merge_key not in item:
            raise bad_request(f"map: {item!r} does not contain declared merge key: {merge_key}")
        index = _index(result, merge_key, item[merge_key])
        if item.get(_DIRECTIVE) == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(strategic_patch({}, item, element(inner)))
        else:
            result[index] = strategic_patch(result[index], item, element(inner))
    return result


def _index(items: Sequence[Mapping[str, Any]], key: str, value: Any) -> int | None:
    return next((index for index, item in enumerate(items) if item.get(key) == value), None)


def _union(items: Sequence[Any], more: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys([*items, *more]))


def _ordered(items: list[Any], order: Sequence[Any], merge_key: str | None) -> list[Any]:
    """The items that `order` names in that order, each of the others where it stood."""

    def name(item: Any) -> Any:
        return item.get(merge_key) if merge_key is not None else item

    wanted = [each.get(merge_key) if isinstance(each, Mapping) and merge_key is not None else each for each in order]
    named = iter(sorted((item for item in items if name(item) in wanted), key=lambda item: wanted.index(name(item))))
    return [next(named) if name(item) in wanted else item for item in items]


# kubectl apply


def apply_configuration(live: Any, last: Any, new: Any, type: str) -> Any:
    """What `kubectl apply` makes of an object of a Go type: fields of `last` (the configuration applied before, None
    for none) that `new` no longer has are removed, those of `new` are set, everything else stays as it is in `live`."""
    if not isinstance(new, Mapping):
        return copied(new)
    before = last if isinstance(last, Mapping) else {}
    result = copied(live) if isinstance(live, dict) else {}
    for key in before:
        if key not in new:
            result.pop(key, None)
    known = field_types(type)
    for key, value in new.items():
        inner = element(type) if known is None else known.get(key, "")
        if isinstance(value, list):
            lists = (result.get(key) or [], before.get(key) or [], value)
            result[key] = _applied_list(*lists, place=(type, key), inner=element(inner))
        else:
            result[key] = apply_configuration(result.get(key), before.get(key), value, inner)
    return result


def _applied_list(
    live: Sequence[Any], last: Sequence[Any], new: Sequence[Any], *, place: tuple[str, str], inner: str
) -> list[Any]:
    if place in _UNION_LISTS:
        return _union([item for item in live if item not in last or item in new], new)
    key = MERGE_KEYS.get(place)
    if key is None or not all(isinstance(item, Mapping) and key in item for item in new):
        return copied(list(new))
    names = [item[key] for item in new]
    dropped = {item.get(key) for item in last} - set(names)
    result = [apply_configuration(_named(live, key, item), _named(last, key, item), item, inner) for item in new]
    result.extend(copied(item) for item in live if item.get(key) not in names and item.get(key) not in dropped)
    return result


def _named(items: Sequence[Mapping[str, Any]], key: str, like: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((item for item in items if item.get(key) == like[key]), None)
