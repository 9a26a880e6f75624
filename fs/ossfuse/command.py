"""The command `ossfs-sim`: ossfs's own command line, plus `--ossfs-version V` to pick the release and `--fixed` to
leave its defects out, `--fixed=NAME,NAME` some of them. With a release of ossfs 2.x the command line is ossfs2's.

Mounts in the background like the original: the command returns when the mount is there. Runs in the main thread of a
process of its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from ossfuse import config
from ossfuse.mountprocess import Surroundings
from ossfuse.products import Product, product_of
from ossfuse.profile import DEFAULT_VERSION, Fixed, UnknownDefect, UnknownVersion

__all__ = ["MissingValue", "Serving", "in_background", "main", "run", "take_version"]

VERSION_OPTION = "--ossfs-version"
FIXED_OPTION = "--fixed"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 mounted (or help was asked for), 1 what ossfs refuses (ossfs 2.x has more of them), 2 an unknown
    --ossfs-version or --fixed, 127 no libfuse. argv: without the program's name; default: of this process."""
    return run(argv, "ossfs-sim")


def run(argv: Sequence[str] | None, name: str, *, only: Product | None = None) -> int:
    """The command called `name`. only: the product whose releases it takes, default: all."""
    words = list(sys.argv[1:] if argv is None else argv)
    environment = config.environment()
    try:
        fixed = _take_fixed(words)
        version = take_version(words) or config.version(environment, only)
        product = product_of(version)
        if only is not None and product is not only:
            raise UnknownVersion(f"{version} is no release of {only.name}; known: {', '.join(only.versions)}")
        around = Surroundings(environment, program=sys.argv[0] or name)
        mount = product.make(words, version=version, fixed=fixed, around=around)
    except (UnknownVersion, UnknownDefect, MissingValue) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    code = mount.prepare()
    if code is not None:
        return code
    if mount.options.foreground:
        return mount.serve()
    code = in_background(mount)
    if code == 0:
        mount.say_mounted()
    return code


class MissingValue(Exception):
    """--ossfs-version without its value."""


def take_version(words: list[str]) -> str | None:
    """Removes --ossfs-version V or --ossfs-version=V from `words`; the last one counts."""
    found = None
    position = 0
    while position < len(words) and words[position] != "--":
        word = words[position]
        if word == VERSION_OPTION:
            if position + 1 == len(words):
                raise MissingValue(f"{VERSION_OPTION} needs a value, for example {VERSION_OPTION} {DEFAULT_VERSION}")
            found = words[position + 1]
            del words[position : position + 2]
        elif word.startswith(f"{VERSION_OPTION}="):
            found = word.partition("=")[2]
            del words[position]
        else:
            position += 1
    return found


def _take_fixed(words: list[str]) -> Fixed:
    """Removes --fixed and --fixed=NAME,NAME from `words`; what follows "--" is not looked at."""
    end = words.index("--") if "--" in words else len(words)
    given = [word for word in words[:end] if word.partition("=")[0] == FIXED_OPTION]
    words[:end] = [word for word in words[:end] if word not in given]
    names = [name for word in given for name in word.partition("=")[2].split(",") if name]
    return FIXED_OPTION in given or tuple(names)


class Serving(Protocol):
    """A mount that has been prepared."""

    def serve(self, *, on_mounted: Callable[[], None], detached: bool) -> int: ...


def in_background(mount: Serving) -> int:
    """Serves in a process of its own session; returns 0 once it is mounted, or the exit code of a failed attempt."""
    sys.stdout.flush()
    sys.stderr.flush()
    waiting, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(waiting)
        _serve_detached(mount, telling)
    os.close(telling)
    with os.fdopen(waiting, "rb") as pipe:
        if pipe.read(1):
            return 0
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) or 1


def _serve_detached(mount: Serving, telling: int) -> NoReturn:
    code = 1

    def mounted() -> None:
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)
        os.write(telling, b"1")
        os.close(telling)

    try:
        os.setsid()
        code = mount.serve(on_mounted=mounted, detached=True)
    finally:
        # Not sys.exit: the frames of the parent's callers are on this stack too.
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
