"""What a client learns of the API before it uses it: groups, kinds, and the OpenAPI document.

Sources: apidiscovery.k8s.io/v2, metav1's APIResourceList, OpenAPI v3 as the API server publishes it. The document says
enough for kubectl to leave validation to the server and for `kubectl explain` to name fields. Pure; any thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osscluster.api.kinds import KINDS, Kind
from osscluster.api.schema import element, field_types

__all__ = ["aggregated", "group_list", "groups", "openapi_index", "openapi_of", "resource_list"]

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CHANGE_VERBS = ("get", "patch", "update")
_MERGE_PATCHES = ("application/json-patch+json", "application/merge-patch+json")


def groups() -> dict[tuple[str, str], list[Kind]]:
    """(group, version) to its kinds, the core group first."""
    found: dict[tuple[str, str], list[Kind]] = {}
    for kind in KINDS.values():
        found.setdefault((kind.group, kind.version), []).append(kind)
    return dict(sorted(found.items()))


def aggregated(*, core: bool) -> dict[str, Any]:
    """Everything below /api (core) or /apis in one document."""
    items = []
    for (group, version), kinds in groups().items():
        if (group == "") is core:
            resources = [_discovered(kind) for kind in kinds]
            versions = [{"version": version, "resources": resources, "freshness": "Current"}]
            items.append({"metadata": {"name": group, "creationTimestamp": None}, "versions": versions})
    identity = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}
    return {**identity, "metadata": {}, "items": items}


def _discovered(kind: Kind) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.name},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.name.lower(),
        "verbs": list(_VERBS),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    below = []
    for name, (group, version, answer), verbs in _subresources(kind):
        answered = {"group": group, "version": version, "kind": answer}
        below.append({"subresource": name, "responseKind": answered, "verbs": list(verbs)})
    if below:
        entry["subresources"] = below
    return entry


def _subresources(kind: Kind) -> Iterator[tuple[str, tuple[str, str, str], tuple[str, ...]]]:
    if kind.name == "Pod":
        yield "log", ("", "v1", "Pod"), ("get",)
    if kind.scale:
        yield "scale", ("autoscaling", "v1", "Scale"), _CHANGE_VERBS
    if kind.status:
        yield "status", (kind.group, kind.version, kind.name), _CHANGE_VERBS


def group_list() -> dict[str, Any]:
    """/apis for clients that don't ask for it in one document."""
    entries = []
    for group, version in groups():
        if group:
            named = {"groupVersion": f"{group}/{version}", "version": version}
            entries.append({"name": group, "versions": [named], "preferredVersion": named})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": entries}


def resource_list(group: str, version: str) -> dict[str, Any] | None:
    """/api/v1, /apis/apps/v1; None for a group that is not there."""
    kinds = groups().get((group, version))
    if kinds is None:
        return None
    resources = []
    for kind in kinds:
        resources.append(
            {
                "name": kind.plural,
                "singularName": kind.name.lower(),
                "namespaced": kind.namespaced,
                "kind": kind.name,
                "verbs": list(_VERBS),
                "shortNames": list(kind.short),
                "categories": list(kind.categories),
            }
        )
        for name, (sub_group, sub_version, answer), verbs in _subresources(kind):
            resources.append(
                {
                    "name": f"{kind.plural}/{name}",
                    "singularName": "",
                    "namespaced": kind.namespaced,
                    "group": sub_group,
                    "version": sub_version,
                    "kind": answer,
                    "verbs": list(verbs),
                }
            )
    version_name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version_name, "resources": resources}


# OpenAPI


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def openapi_index() -> dict[str, Any]:
    """/openapi/v3."""
    roots = [_root(*key) for key in groups()]
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}


def openapi_of(root: str) -> dict[str, Any] | None:
    """/openapi/v3/ROOT; None for a group that is not there."""
    for key, kinds in groups().items():
        if _root(*key) == root:
            schemas: dict[str, Any] = {}
            paths = {}
            for kind in kinds:
                where = "namespaces/{namespace}/" if kind.namespaced else ""
                paths[f"/{root}/{where}{kind.plural}/{{name}}"] = {"patch": _patch_operation(kind)}
                _describe(kind.name, schemas)
                schemas[kind.name]["x-kubernetes-group-version-kind"] = [_gvk(kind)]
            info = {"title": "Kubernetes", "version": "unversioned"}
            return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
    return None


def _gvk(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "kind": kind.name, "version": kind.version}


def _patch_operation(kind: Kind) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    content = {name: {"schema": {"type": "object"}} for name in _MERGE_PATCHES}
    return {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _gvk(kind),
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "requestBody": {"content": content},
        "responses": {"200": {"description": "OK"}},
    }


def _describe(type: str, schemas: dict[str, Any]) -> None:
    fields = field_types(type)
    if fields is None or type in schemas:
        return
    properties: dict[str, Any] = {}
    schemas[type] = {"type": "object", "properties": properties}
    for name, field in fields.items():
        properties[name] = _schema_of(field)
        inner = field
        while inner != element(inner):
            inner = element(inner)
        _describe(inner, schemas)


def _schema_of(type: str) -> dict[str, Any]:
    if type.startswith("[]"):
        return {"type": "array", "items": _schema_of(element(type))}
    if type.startswith("map[string]"):
        return {"type": "object", "additionalProperties": _schema_of(element(type))}
    if field_types(type) is not None:
        return {"allOf": [{"$ref": f"#/components/schemas/{type}"}]}
    match type:
        case "bool":
            return {"type": "boolean"}
        case "int32" | "int64":
            return {"type": "integer", "format": type}
        case "float64":
            return {"type": "number", "format": "double"}
        case "Time" | "MicroTime":
            return {"type": "string", "format": "date-time"}
        case "bytes":
            return {"type": "string", "format": "byte"}
        case "RawExtension" | "FieldsV1":
            return {"type": "object"}
    return {"type": "string"}
