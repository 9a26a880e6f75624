"""What the tests of a node's operating system share."""

from __future__ import annotations

from collections.abc import Callable

TARGET = "/var/lib/kubelet/pods/0f4a/volumes/kubernetes.io~csi/pv-oss/mount"


def failure(work: Callable[[], object]) -> int | None:
    """The errno that it fails with; None when it succeeds."""
    try:
        work()
    except OSError as error:
        return error.errno
    return None
