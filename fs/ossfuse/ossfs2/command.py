"""The command `ossfs2-sim`: ossfs2's own command line, plus `--ossfs-version V` to pick the release.

Runs in the main thread of a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ossfuse.command import run
from ossfuse.ossfs2.profile import DEFAULT_VERSION
from ossfuse.products import product_of

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """As `ossfuse.command.main`, for releases of ossfs 2.x only."""
    return run(argv, "ossfs2-sim", only=product_of(DEFAULT_VERSION))


if __name__ == "__main__":
    sys.exit(main())
