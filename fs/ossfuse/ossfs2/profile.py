"""The table of ossfs 2.x releases: what differs between them is a field of `Profile`, a release is a row.

A product of its own beside ossfs 1.x (`ossfuse.profile`): another code base with other options and another file system,
so the two share no row and no field. Rows are immutable; any thread may read them.

Sources: the published source code of the two tags, by function; "measured" is a run of the 2.0.7 binary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ossfuse.profile import UnknownVersion

__all__ = ["DEFAULT_VERSION", "PROFILES", "Profile", "find"]

DEFAULT_VERSION = "2.0.7"


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    user_agent: str  # source: main.cpp, create_background_oss_clients
    options_added: frozenset[str] = frozenset()  # options that the first modelled release does not have (options.cpp)
    fstab_echo: bool = True  # the fstab form prints the whole command (main.cpp)
    max_write: int = 128 * 1024  # bytes a WRITE carries: libfuse 2's limit here; no request depends on it


_V206 = Profile("2.0.6", "ossfs2-2.0.6", fstab_echo=False)
_V207 = replace(
    _V206,
    name="2.0.7",
    user_agent="ossfs2-2.0.7",
    options_added=frozenset({"kernel_readdir_cache_timeout"}),
    fstab_echo=True,
)

PROFILES: Mapping[str, Profile] = MappingProxyType({row.name: row for row in (_V206, _V207)})


def find(version: str) -> Profile:
    """The row of a release by its exact name ("2.0.7", also written "v2.0.7"). Raises UnknownVersion."""
    try:
        return PROFILES[version.removeprefix("v")]
    except KeyError:
        raise UnknownVersion(f"unknown ossfs2 version {version!r}; known: {', '.join(PROFILES)}") from None
