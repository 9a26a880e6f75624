"""The command `ossfs2-sim`: ossfs2's own command line, plus `--ossfs-version V` to pick the release.

Mounts in the background like the original. Runs in the main thread of a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ossfuse import config
from ossfuse.command import MissingValue, in_background, take_version
from ossfuse.ossfs2.profile import DEFAULT_VERSION, PROFILES, find
from ossfuse.profile import UnknownVersion

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 mounted (or help was asked for), what ossfs2 refuses with, 2 an unknown --ossfs-version, 127 no
    libfuse. argv: without the program's name; default: of this process."""
    words = list(sys.argv[1:] if argv is None else argv)
    environment = config.environment()
    try:
        profile = find(take_version(words) or _version_of(config.version(environment)))
    except (UnknownVersion, MissingValue) as error:
        print(f"ossfs2-sim: {error}", file=sys.stderr)
        return 2
    from ossfuse.ossfs2.mount import Ossfs2Mount

    mount = Ossfs2Mount(words, profile=profile, environment=environment, program=sys.argv[0] or "ossfs2-sim")
    code = mount.prepare()
    if code is not None:
        return code
    if mount.options.foreground:
        return mount.serve()
    code = in_background(mount)
    if code == 0:
        mount.say_mounted()
    return code


def _version_of(version: str) -> str:
    """The variable may name a release of ossfs 1.x, which is not meant for this command."""
    return version if version in PROFILES else DEFAULT_VERSION


if __name__ == "__main__":
    sys.exit(main())
