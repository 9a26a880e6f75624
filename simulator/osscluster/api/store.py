"""The API server in memory.

Holds objects, numbers their changes, fills in defaults, refuses what the API server refuses, and tells whoever watches.
Runs no controller: what binds a claim, makes Pods of a Deployment, removes a finalizer or ends a Pod's grace period are
clients of it. Pure: time and randomness are arguments. One thread at a time (a server takes a lock around it).
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from osscluster.api import defaults, refusals, schema, selectors, validation
from osscluster.api.events import EventCorrelator, Occurrence
from osscluster.api.kinds import KINDS, Kind, kind_of
from osscluster.api.logs import Logs
from osscluster.api.merge import apply_configuration, json_patch, merge_patch, strategic_patch
from osscluster.api.objects import KubeObject, ObjectReference, WatchEvent, copied
from osscluster.api.ownership import FieldOwners

__all__ = ["LAST_APPLIED", "MemoryApi", "PatchType", "decode_error", "timestamp"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which `kubectl apply` keeps what it applied."""

PatchType = Literal["json", "merge", "strategic"]

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MAX_PREFIX = 58
_SERVER_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def timestamp(seconds: float) -> str:
    """ "2024-09-03T08:00:00Z"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class MemoryApi:
    """An `Api`. now: seconds since the epoch; rng: source of uids and of names that generateName asks for. Starts with
    the namespaces that every cluster has."""

    def __init__(self, now: Callable[[], float], rng: random.Random) -> None:
        self.logs = Logs(now)
        self._now = now
        self._rng = rng
        self._objects: dict[str, dict[tuple[str, str], KubeObject]] = {name: {} for name in KINDS}
        self._version = 0
        self._watchers: dict[int, Callable[[WatchEvent], None]] = {}
        self._watcher_count = 0
        self._events = EventCorrelator()
        self._owners = FieldOwners()
        for name in _NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    @property
    def resource_version(self) -> str:
        """Of the last change of anything."""
        return str(self._version)

    # Reading

    def get(self, kind: str, name: str, namespace: str = "") -> KubeObject:
        """Raises ApiError NotFound."""
        return copied(self._stored(self._kind(kind), name, namespace))

    def find(self, kind: str, name: str, namespace: str = "") -> KubeObject | None:
        """Like `get`; None where there is none."""
        known = self._kind(kind)
        return copied(self._objects[kind].get((namespace if known.namespaced else "", name)))

    def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> Sequence[KubeObject]:
        """namespace "": of every namespace; labels, fields: selectors as kubectl's -l and --field-selector. By
        namespace and name. Raises ApiError BadRequest for a selector that makes no sense."""
        self._kind(kind)
        label_test, field_test = selectors.labels(labels), selectors.fields(fields, kind)
        return [
            copied(object)
            for (where, _), object in sorted(self._objects[kind].items())
            if namespace in ("", where) and label_test(object) and field_test(object)
        ]

    # Writing

    def create(self, object: KubeObject, *, dry_run: bool = False) -> KubeObject:
        """Defaults, validates, gives uid, resourceVersion, creationTimestamp and a name for generateName. Raises
        ApiError: AlreadyExists, Invalid, BadRequest (a value of the wrong type), NotFound (no such namespace),
        Forbidden (namespace on its way out; service account or priority class that is not there)."""
        kind, new = self._taken(object)
        metadata = new["metadata"]
        if not metadata.get("name") and (prefix := metadata.get("generateName")):
            metadata["name"] = prefix[:_MAX_PREFIX] + "".join(self._rng.choices(_SUFFIX_LETTERS, k=5))
        name: str = metadata.get("name", "")
        self._place(kind, metadata, name)
        for key in (*_SERVER_METADATA, "resourceVersion", "selfLink", "managedFields"):
            metadata.pop(key, None)
        self._admit(kind, new)
        if kind.name != "Node":
            new.pop("status", None)
        defaults.set_defaults(new)
        defaults.protect(new)
        if (status := defaults.initial_status(new)) is not None:
            new["status"] = status
        if errors := validation.create_errors(new):
            raise refusals.invalid(kind, name, errors)
        place = (metadata.get("namespace", ""), name)
        if place in self._objects[kind.name]:
            raise refusals.already_exists(kind, name)
        metadata["uid"] = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        metadata["creationTimestamp"] = timestamp(self._now())
        if kind.generation:
            metadata["generation"] = 1
        if dry_run:
            return new
        self._write(kind, place, new, "ADDED")
        if kind.name == "Namespace":
            # What the service account controller does for each namespace.
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
            self.create(account)
        return copied(new)

    def update(self, object: KubeObject, *, dry_run: bool = False) -> KubeObject:
        """Replaces all but status; Conflict when it has a resourceVersion that is not the current one. Raises ApiError:
        NotFound, Conflict, Invalid (also for what must not change), BadRequest."""
        kind, new = self._taken(object)
        metadata = new["metadata"]
        namespace = metadata.setdefault("namespace", "default") if kind.namespaced else ""
        old = self._stored(kind, metadata.get("name", ""), namespace)
        self._check_version(kind, metadata, old)
        for key in _SERVER_METADATA:
            metadata.pop(key, None)
            if key in old["metadata"]:
                metadata[key] = copied(old["metadata"][key])
        new.pop("status", None)
        if "status" in old:
            new["status"] = copied(old["status"])
        defaults.set_defaults(new)
        if not metadata.get("finalizers"):
            metadata.pop("finalizers", None)
        if errors := validation.update_errors(new, old):
            raise refusals.invalid(kind, metadata["name"], errors)
        return self._replace(kind, (namespace, metadata["name"]), new, old, dry_run=dry_run)

    def update_status(self, object: KubeObject, *, dry_run: bool = False) -> KubeObject:
        """Replaces status alone. Raises ApiError: NotFound (also for kinds without a status), Conflict, BadRequest."""
        # The rest may be whatever it is: it is not looked at.
        parts = ("apiVersion", "kind", "metadata", "status")
        kind, new = self._taken({key: object[key] for key in parts if key in object})
        metadata = new["metadata"]
        namespace = metadata.get("namespace") or "default" if kind.namespaced else ""
        old = self._stored(kind, metadata.get("name", ""), namespace)
        if not kind.status:
            raise refusals.bad_request(f"{kind.resource} have no status")
        self._check_version(kind, metadata, old)
        changed = copied(old)
        changed["status"] = new.get("status") or {}
        return self._replace(kind, (namespace, metadata["name"]), changed, old, dry_run=dry_run)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "strategic",
        status: bool = False,
        dry_run: bool = False,
    ) -> KubeObject:
        """patch: an object, or a list of operations for "json". status: change that alone. Raises ApiError."""
        known = self._kind(kind)
        old = self._stored(known, name, namespace)
        if type == "json":
            new = json_patch(old, patch)
        elif not isinstance(patch, dict):
            raise refusals.bad_request("error decoding patch: a patch is an object")
        elif type == "merge":
            new = merge_patch(old, patch)
        else:
            new = strategic_patch(old, patch, kind)
        for key in ("name", "namespace"):
            if (new.get("metadata") or {}).get(key) != old["metadata"].get(key):
                raise refusals.bad_request(f"the {key} of the object ({name}) cannot be changed")
        return self.update_status(new, dry_run=dry_run) if status else self.update(new, dry_run=dry_run)

    # kubectl apply

    def apply(self, object: KubeObject) -> tuple[KubeObject, Literal["created", "configured", "unchanged"]]:
        """As `kubectl apply` does on its side: creates, or merges into what is there, with the annotation by which the
        next one knows what was removed. Raises ApiError."""
        kind, plain = self._taken(object)
        plain["metadata"].get("annotations", {}).pop(LAST_APPLIED, None)
        if kind.namespaced:
            plain["metadata"].setdefault("namespace", "default")
        configuration = copied(plain)
        configuration["metadata"].setdefault("annotations", {})
        text = json.dumps(configuration, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
        plain["metadata"].setdefault("annotations", {})[LAST_APPLIED] = text
        name = plain["metadata"].get("name", "")
        live = self.find(kind.name, name, plain["metadata"].get("namespace", ""))
        if live is None:
            return self.create(plain), "created"
        last = _read_annotation(live)
        merged = apply_configuration(live, last, plain, kind.name)
        merged["metadata"].pop("resourceVersion", None)
        updated = self.update(merged)
        same = updated["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
        return updated, "unchanged" if same else "configured"

    def apply_fields(
        self, object: KubeObject, *, manager: str, force: bool = False, dry_run: bool = False
    ) -> tuple[KubeObject, bool]:
        """Server-side apply: the object, and whether it was created. manager: who applies; a field that another manager
        applied with another value is a Conflict unless `force`. Only what was applied is known by its manager, not what
        was written otherwise. Raises ApiError."""
        kind, plain = self._taken(object)
        if kind.namespaced:
            plain["metadata"].setdefault("namespace", "default")
        plain["metadata"].pop("managedFields", None)
        plain["metadata"].pop("resourceVersion", None)
        name = plain["metadata"].get("name", "")
        key = (kind.name, plain["metadata"].get("namespace", ""), name)
        live = self.find(kind.name, name, key[1])
        if live is None:
            created = self.create(plain, dry_run=dry_run)
            if not dry_run:
                self._owners.record(key, manager, plain)
            return created, True
        dispute = self._owners.dispute(key, manager, plain, kind)
        if dispute is not None and not force:
            raise dispute
        merged = apply_configuration(live, self._owners.applied(key, manager), plain, kind.name)
        merged["metadata"].pop("resourceVersion", None)
        updated = self.update(merged, dry_run=dry_run)
        if not dry_run:
            self._owners.record(key, manager, plain)
        return updated, False

    # Deletion

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        force: bool = False,
        grace_seconds: int | None = None,
        uid: str = "",
        dry_run: bool = False,
    ) -> None:
        """With finalizers, and for Pods on a node with a grace period, only sets deletionTimestamp. force: without a
        grace period (--force --grace-period=0); finalizers hold even then. grace_seconds: instead of the Pod's own.
        uid: Conflict unless it is that object's. Raises ApiError: NotFound, Conflict."""
        known = self._kind(kind)
        namespace = namespace if known.namespaced else ""
        old = self._stored(known, name, namespace)
        if uid and uid != old["metadata"]["uid"]:
            detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            raise refusals.conflict(known, name, detail)
        if dry_run:
            return
        grace = 0 if force or kind != "Pod" else _grace(old, grace_seconds)
        if grace == 0 and not old["metadata"].get("finalizers") and kind != "Namespace":
            self.remove(kind, name, namespace)
            return
        changed = copied(old)
        metadata = changed["metadata"]
        before = metadata.get("deletionGracePeriodSeconds")
        if before is not None and grace >= before:
            return
        if before is None:
            metadata["deletionTimestamp"] = timestamp(self._now() + grace)
            if known.generation:
                metadata["generation"] += 1
        else:
            asked = datetime.fromisoformat(metadata["deletionTimestamp"]).timestamp() - before
            metadata["deletionTimestamp"] = timestamp(asked + grace)
        metadata["deletionGracePeriodSeconds"] = grace
        if kind == "Namespace":
            changed.setdefault("status", {})["phase"] = "Terminating"
        self._replace(known, (namespace, name), changed, old)

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """What kubelet or a controller does at the end of a deletion: the object is gone, whatever its finalizers. No
        error when it is."""
        known = self._kind(kind)
        key = (namespace if known.namespaced else "", name)
        object = self._objects[kind].pop(key, None)
        if object is None:
            return
        self._owners.drop((kind, *key))
        if kind == "Pod":
            self.logs.drop(*key)
        self._version += 1
        last = {**object, "metadata": {**object["metadata"], "resourceVersion": str(self._version)}}
        self._tell(WatchEvent("DELETED", last))

    # Watching

    def watch(self, callback: Callable[[WatchEvent], None]) -> Callable[[], None]:
        """Calls back after every change, inside the call that made it (so: only note it down); the object is one for
        all who watch: copy what you change. Gives what ends it."""
        self._watcher_count += 1
        number = self._watcher_count
        self._watchers[number] = callback
        return lambda: self._watchers.pop(number, None) and None

    def _tell(self, event: WatchEvent) -> None:
        for callback in list(self._watchers.values()):
            callback(event)

    # Events and logs

    def event(
        self,
        about: ObjectReference,
        type: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        component: str,
        host: str = "",
    ) -> None:
        """Records an Event on the virtual clock; a repetition of the same raises its count ("x8 over 97s")."""
        now = self._now()
        reference = self._reference(about)
        told = self._events.tell(
            Occurrence(about, reference.get("uid", ""), type, reason, message, component, host), now
        )
        if told is None:
            return
        namespace = about.namespace or "default"
        told.name = told.name or f"{about.name}.{self._rng.getrandbits(64):016x}"
        if (known := self._objects["Event"].get((namespace, told.name))) is not None:
            changed = copied(known)
            changed.update(count=told.count, lastTimestamp=timestamp(now), message=told.message)
            self._replace(KINDS["Event"], (namespace, told.name), changed, known)
            return
        self.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": told.name, "namespace": namespace},
                "involvedObject": reference,
                "reason": reason,
                "message": told.message,
                "source": {"component": component, **({"host": host} if host else {})},
                "firstTimestamp": timestamp(told.first),
                "lastTimestamp": timestamp(now),
                "count": told.count,
                "type": type,
                "reportingComponent": component,
                "reportingInstance": host,
            }
        )

    def _reference(self, about: ObjectReference) -> dict[str, Any]:
        reference: dict[str, Any] = {"kind": about.kind, "name": about.name}
        if about.namespace:
            reference["namespace"] = about.namespace
        kind = KINDS.get(about.kind)
        if kind is not None:
            reference["apiVersion"] = kind.api_version
            if (object := self._objects[kind.name].get((about.namespace, about.name))) is not None:
                reference["uid"] = object["metadata"]["uid"]
                reference["resourceVersion"] = object["metadata"]["resourceVersion"]
        return reference

    def log(self, namespace: str, pod: str, container: str, text: str) -> None:
        """Adds lines to what `kubectl logs` shows."""
        self.logs.add(namespace, pod, container, text)

    # What the above share

    def _kind(self, name: str) -> Kind:
        kind = KINDS.get(name)
        if kind is None:
            raise refusals.bad_request(f'no matches for kind "{name}"')
        return kind

    def _stored(self, kind: Kind, name: str, namespace: str) -> KubeObject:
        object = self._objects[kind.name].get((namespace if kind.namespaced else "", name))
        if object is None:
            raise refusals.not_found(kind, name)
        return object

    def _taken(self, object: KubeObject) -> tuple[Kind, KubeObject]:
        """The kind of what somebody gave, and a copy as Go's decoder makes it. Raises ApiError."""
        name, version = object.get("kind"), object.get("apiVersion")
        kind = kind_of(str(version), str(name))
        if kind is None:
            raise refusals.bad_request(f'no matches for kind "{name}" in version "{version}"')
        refusal = decode_error(object, kind)
        if refusal is not None:
            raise refusals.bad_request(refusal)
        new: KubeObject = schema.normalised(object, kind.name)
        new.setdefault("metadata", {})
        if "spec" in (schema.field_types(kind.name) or {}):
            new.setdefault("spec", {})
        return kind, new

    def _place(self, kind: Kind, metadata: dict[str, Any], name: str) -> None:
        if not kind.namespaced:
            metadata.pop("namespace", None)
            return
        namespace = metadata.setdefault("namespace", "default")
        home = self._objects["Namespace"].get(("", namespace))
        if home is None:
            raise refusals.not_found(KINDS["Namespace"], namespace)
        if home["metadata"].get("deletionTimestamp") is not None and kind.name != "Event":
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise refusals.forbidden(kind, name, text)

    def _admit(self, kind: Kind, new: KubeObject) -> None:
        """What admission plugins look up in the cluster."""
        metadata, spec = new["metadata"], new.get("spec") or {}
        name = metadata.get("name", "")
        if kind.name == "Pod":
            account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
            where = metadata["namespace"]
            if (where, account) not in self._objects["ServiceAccount"]:
                text = f'error looking up service account {where}/{account}: serviceaccount "{account}" not found'
                raise refusals.forbidden(kind, name or metadata.get("generateName", ""), text)
            priority = spec.get("priorityClassName", "")
            if priority not in defaults.PRIORITIES:
                raise refusals.forbidden(kind, name, f"no PriorityClass with name {priority} was found")
        if kind.name == "PersistentVolumeClaim" and spec.get("storageClassName") is None:
            # Newest first, where several are marked.
            marked = [each for each in self._objects["StorageClass"].values() if _is_default_class(each)]
            if marked:
                chosen = max(marked, key=lambda each: each["metadata"]["creationTimestamp"])
                spec["storageClassName"] = chosen["metadata"]["name"]

    def _check_version(self, kind: Kind, metadata: Mapping[str, Any], old: KubeObject) -> None:
        version = metadata.get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise refusals.conflict(kind, metadata["name"])
        uid = metadata.get("uid")
        if uid and uid != old["metadata"]["uid"]:
            detail = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
            raise refusals.conflict(kind, metadata["name"], detail)

    def _replace(
        self, kind: Kind, key: tuple[str, str], new: KubeObject, old: KubeObject, *, dry_run: bool = False
    ) -> KubeObject:
        """Writes what has changed; an object on its way out that nothing holds any more goes."""
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if kind.generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        if dry_run or new == old:
            return copied(new)
        self._write(kind, key, new, "MODIFIED")
        metadata = new["metadata"]
        if (
            metadata.get("deletionTimestamp") is not None
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
            and kind.name != "Namespace"
        ):
            self.remove(kind.name, key[1], key[0])
        return copied(new)

    def _write(self, kind: Kind, key: tuple[str, str], object: KubeObject, type: Literal["ADDED", "MODIFIED"]) -> None:
        self._version += 1
        object["metadata"]["resourceVersion"] = str(self._version)
        self._objects[kind.name][key] = object
        self._tell(WatchEvent(type, object))


def decode_error(object: KubeObject, kind: Kind) -> str | None:
    """What the API server's decoder says of a value of the wrong type; None when all are right."""
    for finding in schema.findings(object, kind.name):
        if not finding.unknown:
            version = f'{kind.name} in version "{kind.version}"'
            return f"{version} cannot be handled as a {kind.name}: {finding.message}"
    return None


def _grace(pod: KubeObject, asked: int | None) -> int:
    """Seconds that kubelet gives a Pod; none where no kubelet has it, and where it has ended."""
    if not pod["spec"].get("nodeName") or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return 0
    return int(pod["spec"]["terminationGracePeriodSeconds"]) if asked is None or asked < 0 else asked


def _is_default_class(storage_class: KubeObject) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return annotations.get("storageclass.kubernetes.io/is-default-class") == "true"


def _read_annotation(object: KubeObject) -> KubeObject | None:
    text = (object["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if text is None:
        return None
    try:
        last: KubeObject = json.loads(text)
    except ValueError:
        return None
    return last
