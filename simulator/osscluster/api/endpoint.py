"""The API over HTTP, without the sockets: a request in, an answer out.

Routes, representations (objects, lists, Tables), field validation, patches, subresources, watches and logs that go on.
Whoever serves it holds one lock around every call. Pure: the time is an argument.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from osscluster.api import discovery, protobuf, refusals
from osscluster.api.kinds import Kind, by_plural
from osscluster.api.merge import json_patch, merge_patch
from osscluster.api.objects import ApiError, KubeObject
from osscluster.api.podlogs import LogStream, log_text, number
from osscluster.api.schema import findings, pruned
from osscluster.api.selectors import fields as field_selector
from osscluster.api.selectors import labels as label_selector
from osscluster.api.store import MemoryApi, PatchType, decode_error
from osscluster.api.tables import table
from osscluster.api.watching import ChangeLog, EventType, Watch, key_of

__all__ = ["Answer", "Endpoint", "KubeRequest", "LogStream", "Watch", "status_of"]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_JSON = "application/json"
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PATCHES: Mapping[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}
_APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


@dataclass(frozen=True, slots=True)
class KubeRequest:
    """path: decoded, without the query; query: the last value of each name; headers: names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """body: JSON unless `content_type` says otherwise. warnings: what kubectl prints as "Warning: ..."."""

    status: int
    body: bytes
    content_type: str = _JSON
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Target:
    """What a URL names. name, subresource: "" for none."""

    kind: Kind
    namespace: str
    name: str
    subresource: str


class Endpoint:
    """Answers for one `MemoryApi`. version: of the Kubernetes that it says it is, "1.28.3"."""

    def __init__(self, api: MemoryApi, now: Callable[[], float], *, version: str) -> None:
        self._api = api
        self._now = now
        self._version = version
        self._log = ChangeLog(api)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._log.close()

    def answer(self, request: KubeRequest) -> Answer | Watch | LogStream:
        """Never raises for what a client may do wrong: that is a Status."""
        try:
            return self._route(request)
        except ApiError as error:
            return _answer(status_of(error), error.code)

    def _route(self, request: KubeRequest) -> Answer | Watch | LogStream:
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["version"]:
                return _answer(self._version_document())
            case ["healthz" | "livez" | "readyz", *_]:
                return Answer(200, b"ok", "text/plain")
            case ["api" | "apis"]:
                return self._discover(request, core=parts[0] == "api")
            case ["openapi", "v2"]:
                # kubectl asks for it about kinds that v3 does not have; an empty one says "not here either".
                return Answer(200, b"", _OPENAPI_V2)
            case ["openapi", "v3"]:
                return _answer(discovery.openapi_index())
            case ["openapi", "v3", *root]:
                document = discovery.openapi_of("/".join(root))
                return _answer(document) if document is not None else _no_such_page()
            case ["api", version, *rest]:
                return self._group("", version, rest, request)
            case ["apis", group, version, *rest]:
                return self._group(group, version, rest, request)
        return _no_such_page()

    def _version_document(self) -> dict[str, str]:
        major, minor, *_ = self._version.split(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{self._version}",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "",
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }

    def _discover(self, request: KubeRequest, *, core: bool) -> Answer:
        accept = request.headers.get("accept", "")
        if "as=APIGroupDiscoveryList" in accept and "v=v2" in accept.replace("v=v2beta1", ""):
            return Answer(200, json.dumps(discovery.aggregated(core=core)).encode(), _AGGREGATED)
        if core:
            return _answer({"kind": "APIVersions", "versions": ["v1"]})
        return _answer(discovery.group_list())

    def _group(self, group: str, version: str, rest: list[str], request: KubeRequest) -> Answer | Watch | LogStream:
        if not rest:
            resources = discovery.resource_list(group, version)
            return _answer(resources) if resources is not None else _no_such_page()
        target = _target(group, version, rest)
        if target is None:
            return _no_such_page()
        if target.subresource:
            return self._subresource(target, request)
        if target.name:
            return self._one(target, request)
        return self._many(target, request)

    # One object

    def _one(self, at: _Target, request: KubeRequest) -> Answer | Watch:
        dry_run = bool(request.query.get("dryRun"))
        match request.method:
            case "GET":
                if _flag(request, "watch"):
                    return self._watch(at, request)
                return self._shown(at.kind, self._api.get(at.kind.name, at.name, at.namespace), request)
            case "PUT":
                object, warnings = self._body(at, request)
                return self._shown(at.kind, self._api.update(object, dry_run=dry_run), request, warnings=warnings)
            case "PATCH":
                return self._patch(at, request, status=False)
            case "DELETE":
                return self._delete(at, request)
        raise _method_not_allowed()

    def _shown(
        self, kind: Kind, object: KubeObject, request: KubeRequest, *, code: int = 200, warnings: tuple[str, ...] = ()
    ) -> Answer:
        if _wants_table(request):
            return _answer(self._table(kind, [object], request), code, warnings)
        return _answer(object, code, warnings)

    def _table(self, kind: Kind, objects: list[KubeObject], request: KubeRequest) -> dict[str, Any]:
        include = request.query.get("includeObject", "Metadata")
        shown: Literal["Metadata", "Object", "None"] = (
            "Object" if include == "Object" else "None" if include == "None" else "Metadata"
        )
        version = self._api.resource_version
        return table(kind.name, objects, self._now(), resource_version=version, include=shown)

    def _patch(self, at: _Target, request: KubeRequest, *, status: bool) -> Answer:
        kind, dry_run = at.kind, bool(request.query.get("dryRun"))
        content_type = request.headers.get("content-type", "").partition(";")[0].strip()
        if content_type in _APPLY:
            object, warnings = self._body(at, request)
            applied, created = self._api.apply_fields(
                object,
                manager=request.query.get("fieldManager", "unknown"),
                force=_flag(request, "force"),
                dry_run=dry_run,
            )
            return self._shown(kind, applied, request, code=201 if created else 200, warnings=warnings)
        form = _PATCHES.get(content_type)
        if form is None:
            raise _unsupported_media(content_type, (*_PATCHES, *_APPLY))
        patch = _decoded(request.body)
        warnings = _validated_patch(patch, kind, request) if form != "json" else ()
        changed = self._api.patch(kind.name, at.name, patch, at.namespace, type=form, status=status, dry_run=dry_run)
        return self._shown(kind, changed, request, warnings=warnings)

    def _body(self, at: _Target, request: KubeRequest) -> tuple[KubeObject, tuple[str, ...]]:
        """The object that a client sent, at home where its URL says. Fields that nobody knows are refused, warned about
        or dropped, as the client asks."""
        object, kind = _read(request), at.kind
        if not isinstance(object, dict):
            raise refusals.bad_request("couldn't get version/kind; json parse error: an object is expected")
        object.setdefault("apiVersion", kind.api_version)
        object.setdefault("kind", kind.name)
        if (object["apiVersion"], object["kind"]) != (kind.api_version, kind.name):
            given = f"{object['apiVersion']}, Kind={object['kind']}"
            raise refusals.bad_request(f"{given} does not match the expected {kind.api_version}, Kind={kind.name}")
        if (refusal := decode_error(object, kind)) is not None:
            raise refusals.bad_request(refusal)
        metadata = object["metadata"] = object.get("metadata") or {}
        for key, value in (("namespace", at.namespace), ("name", at.name)):
            if value and metadata.setdefault(key, value) != value:
                words = f"the {key} of the object ({metadata[key]}) does not match the {key} on the URL ({value})"
                raise refusals.bad_request(words)
        unknown = [found.message for found in findings(object, kind.name) if found.unknown]
        strictness = request.query.get("fieldValidation", "Warn")
        if unknown and strictness == "Strict":
            version = f'{kind.name} in version "{kind.version}"'
            text = f"{version} cannot be handled as a {kind.name}: strict decoding error: {', '.join(unknown)}"
            raise refusals.bad_request(text)
        return pruned(object, kind.name), tuple(unknown) if strictness == "Warn" else ()

    def _delete(self, at: _Target, request: KubeRequest) -> Answer:
        options = _read(request) if request.body else {}
        if not isinstance(options, dict):
            raise refusals.bad_request("the body of a deletion is DeleteOptions, an object")
        kind = at.kind
        before = self._api.get(kind.name, at.name, at.namespace)
        uid = before["metadata"]["uid"]
        dry_run = bool(request.query.get("dryRun") or options.get("dryRun"))
        grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
        if options.get("propagationPolicy", request.query.get("propagationPolicy")) == "Orphan" and not dry_run:
            self._abandon(uid)
        self._api.delete(
            kind.name,
            at.name,
            at.namespace,
            force=grace is not None and number("gracePeriodSeconds", grace) == 0,
            grace_seconds=number("gracePeriodSeconds", grace) if grace is not None else None,
            uid=_lookup(options, "preconditions", "uid") or "",
            dry_run=dry_run,
        )
        left = self._api.find(kind.name, at.name, at.namespace)
        if left is not None and left["metadata"]["uid"] == uid:
            return self._shown(kind, left, request)
        details = {"name": at.name, "group": kind.group, "kind": kind.plural, "uid": uid}
        return _answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    def _abandon(self, uid: str) -> None:
        """--cascade=orphan: what an object owns loses its owner instead."""
        for object in self._log.objects:
            owners = object["metadata"].get("ownerReferences") or ()
            kept = [owner for owner in owners if owner.get("uid") != uid]
            if len(kept) != len(owners):
                patch = {"metadata": {"ownerReferences": kept or None}}
                kind, namespace, name = key_of(object)
                self._api.patch(kind, name, patch, namespace, type="merge")

    # Many objects

    def _many(self, at: _Target, request: KubeRequest) -> Answer | Watch:
        match request.method:
            case "GET":
                if _flag(request, "watch"):
                    return self._watch(at, request)
                return self._list(at, request)
            case "POST":
                object, warnings = self._body(at, request)
                created = self._api.create(object, dry_run=bool(request.query.get("dryRun")))
                return self._shown(at.kind, created, request, code=201, warnings=warnings)
            case "DELETE":
                for object in self._selected(at, request):
                    metadata = object["metadata"]
                    one = _Target(at.kind, metadata.get("namespace", ""), metadata["name"], "")
                    self._delete(one, request)
                return _answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
        raise _method_not_allowed()

    def _selected(self, at: _Target, request: KubeRequest) -> list[KubeObject]:
        query = request.query
        selected = self._api.list(
            at.kind.name, at.namespace, labels=query.get("labelSelector", ""), fields=query.get("fieldSelector", "")
        )
        return list(selected)

    def _list(self, at: _Target, request: KubeRequest) -> Answer:
        objects = self._selected(at, request)
        if _wants_table(request):
            return _answer(self._table(at.kind, objects, request))
        metadata = {"resourceVersion": self._api.resource_version}
        identity = {"kind": f"{at.kind.name}List", "apiVersion": at.kind.api_version}
        return _answer({**identity, "metadata": metadata, "items": objects})

    # Watching

    def _watch(self, at: _Target, request: KubeRequest) -> Watch:
        query, kind = request.query, at.kind
        by_label = label_selector(query.get("labelSelector", ""))
        by_field = field_selector(query.get("fieldSelector", ""), kind.name)

        def selected(object: KubeObject) -> bool:
            metadata = object["metadata"]
            return (
                object["kind"] == kind.name
                and at.namespace in ("", metadata.get("namespace", ""))
                and at.name in ("", metadata["name"])
                and by_label(object)
                and by_field(object)
            )

        start = query.get("resourceVersion", "")
        streamed = _flag(request, "sendInitialEvents")
        fresh = streamed or start in ("", "0")
        timeout = query.get("timeoutSeconds")
        return Watch(
            self._log,
            int(self._api.resource_version) if fresh else number("resourceVersion", start),
            seconds=float(number("timeoutSeconds", timeout)) if timeout else None,
            initial=[object for object in self._log.objects if selected(object)] if fresh else [],
            bookmark=streamed and _flag(request, "allowWatchBookmarks"),
            selected=selected,
            line=lambda type, object, version: self._watch_line(kind, type, object, version, request),
        )

    def _watch_line(
        self, kind: Kind, type: EventType, object: KubeObject | None, version: int, request: KubeRequest
    ) -> bytes:
        shown: dict[str, Any]
        if object is None:
            # What ends the initial events of a streamed list.
            ending = {"k8s.io/initial-events-end": "true"}
            metadata = {"resourceVersion": str(version), "creationTimestamp": None, "annotations": ending}
            identity: dict[str, Any] = {"kind": kind.name, "apiVersion": kind.api_version}
            shown = self._table(kind, [], request) if _wants_table(request) else identity
            shown["metadata"] = metadata
        else:
            shown = self._table(kind, [object], request) if _wants_table(request) else object
        return _json({"type": type, "object": shown})

    # Subresources

    def _subresource(self, at: _Target, request: KubeRequest) -> Answer | LogStream:
        if at.subresource == "log" and at.kind.name == "Pod" and request.method == "GET":
            pod = self._api.get("Pod", at.name, at.namespace)
            stream = log_text(self._api, pod, request.query, self._now())
            if stream.follow:
                return stream
            return Answer(200, stream.next(), "text/plain")
        if at.subresource == "scale" and at.kind.scale:
            return self._scale(at, request)
        if at.subresource == "status" and at.kind.status:
            if request.method == "GET":
                return self._shown(at.kind, self._api.get(at.kind.name, at.name, at.namespace), request)
            if request.method == "PATCH":
                return self._patch(at, request, status=True)
            if request.method == "PUT":
                object, warnings = self._body(at, request)
                dry_run = bool(request.query.get("dryRun"))
                return self._shown(
                    at.kind, self._api.update_status(object, dry_run=dry_run), request, warnings=warnings
                )
        raise ApiError("NotFound", 404, f"{at.kind.resource} have no {at.subresource} here: it is not modelled")

    def _scale(self, at: _Target, request: KubeRequest) -> Answer:
        owner = self._api.get(at.kind.name, at.name, at.namespace)
        scale = _scale_of(owner)
        if request.method in ("PUT", "PATCH"):
            body = _decoded(request.body)
            wanted = json_patch(scale, body) if isinstance(body, list) else merge_patch(scale, body)
            replicas = _lookup(wanted, "spec", "replicas")
            if not isinstance(replicas, int) or isinstance(replicas, bool):
                raise refusals.bad_request("spec.replicas of a Scale is a number")
            if _lookup(wanted, "metadata", "resourceVersion") != owner["metadata"]["resourceVersion"]:
                raise refusals.conflict(at.kind, at.name)
            patch = {"spec": {"replicas": replicas}}
            dry_run = bool(request.query.get("dryRun"))
            scale = _scale_of(
                self._api.patch(at.kind.name, at.name, patch, at.namespace, type="merge", dry_run=dry_run)
            )
        elif request.method != "GET":
            raise _method_not_allowed()
        return _answer(scale)


def _target(group: str, version: str, rest: list[str]) -> _Target | None:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and (len(rest) != 3 or rest[2] != "status"):
        namespace, rest = rest[1], rest[2:]
    kind = by_plural(group, version, rest[0])
    if kind is None or len(rest) > 3:
        return None
    if kind.namespaced and not namespace and len(rest) > 1:
        return None
    padded = [*rest[1:], "", ""]
    return _Target(kind, namespace, padded[0], padded[1])


def _scale_of(owner: KubeObject) -> dict[str, Any]:
    metadata = owner["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept},
        "spec": {"replicas": owner["spec"]["replicas"]},
        "status": {
            "replicas": (owner.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def _lookup(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _validated_patch(patch: Any, kind: Kind, request: KubeRequest) -> tuple[str, ...]:
    unknown = [
        found.message
        for found in findings(patch, kind.name)
        if found.unknown and not str(found.path[-1]).startswith("$")
    ]
    strictness = request.query.get("fieldValidation", "Warn")
    if unknown and strictness == "Strict":
        shown = json.dumps(patch, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        error = refusals.invalid_value("patch", shown, f"strict decoding error: {', '.join(unknown)}")
        raise refusals.invalid(kind, "", [error])
    return tuple(unknown) if strictness == "Warn" else ()


def _flag(request: KubeRequest, name: str) -> bool:
    return request.query.get(name, "").lower() in ("1", "true")


def _wants_table(request: KubeRequest) -> bool:
    return "as=Table" in request.headers.get("accept", "")


def _read(request: KubeRequest) -> Any:
    """The body, in whichever form it is said to be. Raises ApiError."""
    content_type = request.headers.get("content-type", _JSON).partition(";")[0].strip()
    if content_type == protobuf.CONTENT_TYPE:
        try:
            return protobuf.decode(request.body)
        except protobuf.ProtobufError as error:
            raise refusals.bad_request(str(error)) from error
    if content_type not in (_JSON, "application/yaml", "", *_APPLY):
        raise _unsupported_media(content_type, (_JSON, "application/yaml"))
    return _decoded(request.body)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        # Server-side apply sends YAML.
        return yaml.load(body, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise refusals.bad_request("couldn't get version/kind; json parse error: the body is no JSON") from error


def _answer(document: Any, code: int = 200, warnings: tuple[str, ...] = ()) -> Answer:
    return Answer(code, _json(document), warnings=warnings)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _no_such_page() -> Answer:
    return _answer(status_of(ApiError("NotFound", 404, "the server could not find the requested resource")), 404)


def _method_not_allowed() -> ApiError:
    return ApiError("MethodNotAllowed", 405, "the server does not allow this method on the requested resource")


def _unsupported_media(given: str, known: tuple[str, ...]) -> ApiError:
    text = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
    return ApiError("UnsupportedMediaType", 415, f"{text} (not {given})")


def status_of(error: ApiError) -> dict[str, Any]:
    """The Status that a refusal is on the wire."""
    details: dict[str, Any] = {}
    for key, value in (("name", error.name), ("group", error.group), ("kind", error.kind)):
        if value:
            details[key] = value
    if error.causes:
        details["causes"] = [dict(cause) for cause in error.causes]
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    status |= {"message": str(error)}
    status |= {"reason": error.reason, "code": error.code}
    if details:
        status["details"] = details
    return status
