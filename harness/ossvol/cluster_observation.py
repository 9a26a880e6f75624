"""What a cluster shows after a step, compared with what a scenario expects. Read-only; the runner's thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ossvol.mismatch import Mismatch, differs

if TYPE_CHECKING:
    from osscluster.api.objects import KubeObject
    from ossvol.cluster_side import ClusterSide
    from ossvol.scenario.model import EventExpect, Expect, PodExpect

__all__ = ["compare_cluster", "pod_summary"]

_SHOWN = 12
_LOG_LINES = 8


def compare_cluster(expect: Expect, side: ClusterSide) -> list[Mismatch]:
    """What of `pods`, `events`, `resources` and `logs` is not as expected."""
    found: list[Mismatch] = []
    for name, wanted in (expect.pods or {}).items():
        found += _pod(name, wanted, side.pod(name))
    for wanted_event in expect.events or ():
        found += _event(wanted_event, side.cluster.events())
    for resource in expect.resources or ():
        there = side.cluster.api.list(resource.kind, resource.namespace, labels=resource.labels)
        what = " ".join(part for part in (resource.kind, resource.namespace, resource.labels) if part)
        names = ", ".join(thing["metadata"]["name"] for thing in there)
        found += differs(what, str(resource.count), f"{len(there)} ({names})", resource.count.holds(len(there)))
    for name, part in (expect.logs or {}).items():
        text = side.log(name)
        found += differs(f"log {name}", f"...{part}...", _tail(text), part in text)
    return found


def _pod(name: str, wanted: PodExpect, pod: KubeObject | None) -> list[Mismatch]:
    what = f"pod {name}"
    if wanted.absent or pod is None:
        shown = "absent" if pod is None else pod_summary(pod)
        return differs(what, "absent" if wanted.absent else "present", shown, wanted.absent == (pod is None))
    found: list[Mismatch] = []
    status, shown = pod.get("status", {}), pod_summary(pod)
    if wanted.phase is not None:
        found += differs(what, wanted.phase, shown, status.get("phase") == wanted.phase)
    if wanted.waiting is not None:
        found += differs(what, f"waiting: {wanted.waiting}", shown, wanted.waiting in set(_waiting(pod)))
    if wanted.ready is not None:
        found += differs(what, "ready" if wanted.ready else "not ready", shown, _ready(pod) == wanted.ready)
    if wanted.terminating is not None:
        terminating = "deletionTimestamp" in pod["metadata"]
        text = "Terminating" if wanted.terminating else "not Terminating"
        found += differs(what, text, shown, terminating == wanted.terminating)
    if wanted.restarts is not None:
        restarts = sum(entry.get("restartCount", 0) for entry in status.get("containerStatuses") or ())
        found += differs(what, f"restarts {wanted.restarts}", str(restarts), wanted.restarts.holds(restarts))
    return found


def _waiting(pod: KubeObject) -> Iterator[str]:
    for entry in pod.get("status", {}).get("containerStatuses") or ():
        reason = entry["state"].get("waiting", {}).get("reason")
        if reason:
            yield reason


def _ready(pod: KubeObject) -> bool:
    entries = pod.get("status", {}).get("containerStatuses") or ()
    return bool(entries) and all(entry["ready"] for entry in entries)


def pod_summary(pod: KubeObject) -> str:
    """As `kubectl get pod` would put it."""
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    waiting = " ".join(_waiting(pod))
    phase = pod.get("status", {}).get("phase", "Pending")
    return f"{phase} {waiting}".strip() + ("" if _ready(pod) else " (not ready)")


def _event(wanted: EventExpect, events: list[KubeObject]) -> list[Mismatch]:
    fitting = [event for event in events if _about(wanted, event) and event["reason"] == wanted.reason]
    if wanted.message is not None:
        fitting = [event for event in fitting if wanted.message in event["message"]]
    total = sum(int(event.get("count", 1)) for event in fitting)
    text = f"event {wanted.reason}" + (f" about {wanted.about}" if wanted.about else "")
    text += f": ...{wanted.message}..." if wanted.message else ""
    shown = "; ".join(_line(event) for event in events[-_SHOWN:] if _about(wanted, event)) or "no events"
    if wanted.absent:
        return differs("events", f"no {text}", shown, not fitting)
    if wanted.count is not None:
        return differs("events", f"{text}, {wanted.count} times", f"{total} times: {shown}", wanted.count.holds(total))
    return differs("events", text, shown, bool(fitting))


def _about(wanted: EventExpect, event: KubeObject) -> bool:
    name: str = event["involvedObject"]["name"]
    return wanted.about is None or name == wanted.about or name.startswith(f"{wanted.about}-")


def _line(event: dict[str, Any]) -> str:
    count = event.get("count", 1)
    return f"{event['reason']}{f' (x{count})' if count > 1 else ''}: {event['message']}"


def _tail(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or "empty"
