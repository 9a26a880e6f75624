"""The properties that a fuzz run holds the system to, by name.

`world` and `comparison` check them; docs/fuzzing.md lists them. Data only; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PROPERTIES"]

PROPERTIES: Mapping[str, str] = MappingProxyType(
    {
        "acknowledged-is-kept": "The bucket holds what acknowledged calls put there, and nothing else.",
        "nothing-before-flush": "Until fsync or close an open file's object is absent, empty, or what it was before.",
        "link-never-succeeds": "link(2) is refused, whatever it is asked for.",
        "rights-equal-table": "Who is refused is what docs/permissions.md says.",
        "answers-have-reasons": "A call fails exactly when there is a reason to, with the errno of one of its reasons.",
        "content-is-right": "A read returns what was written, here or on the server.",
        "listing-equals-server": "A listing names what is in the bucket, no more and no less.",
        "names-are-found": "A name has its current shape, or one that the mount's cache may still hold.",
        "caches-converge": "After the lifetime of the cache a mount shows what is in the bucket.",
        "log-explains-bytes": "The request log explains every byte: of the bucket, of its versions, of what was read.",
        "no-unasked-5xx": "The cloud answers 5xx only where a fault asked for it.",
        "mounts-live": "No mount ends, and no mount fails, without a reason.",
        "nothing-leaks": "What was opened, mounted or hidden is gone when it is closed, unmounted or released.",
        "sides-agree": "Two sides that do the same steps show the same, but for the listed differences.",
        "application-invariant": "What an application on the volume says of itself.",
    }
)
"""Name to law, as one sentence."""
