"""The two products called ossfs: 1.x, and 2.x, which is a code base of its own. Which release belongs to which, and how
a mount of each is made.

A product is a row of `PRODUCTS`; who has a version in hand asks `product_of`. Rows are immutable; any thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ossfuse import profile
from ossfuse.fuse_adapter import FileSystem
from ossfuse.mountprocess import Surroundings
from ossfuse.ossfs2 import profile as ossfs2
from ossfuse.profile import UnknownVersion

__all__ = ["PRODUCTS", "Mountable", "Product", "known_versions", "product_of"]


class _Options(Protocol):
    @property
    def foreground(self) -> bool: ...


class _FileSystem(FileSystem, Protocol):
    def destroy(self, *, killed: bool = False) -> None: ...


class Mountable(Protocol):
    """One mount of either product, from its command line to its end. `ossfuse.mount.Mount` says more."""

    @property
    def options(self) -> _Options: ...
    @property
    def fs(self) -> _FileSystem: ...
    @property
    def libfuse_options(self) -> Sequence[str]:
        """What libfuse is given behind -o."""
        ...

    @property
    def xattr(self) -> bool:
        """Whether the file system has operations for extended attributes."""
        ...

    @property
    def max_write(self) -> int:
        """Bytes that a WRITE carries, unless -o big_writes says more."""
        ...

    @property
    def utime_omit(self) -> bool:
        """Whether a change of one time alone reaches the file system."""
        ...

    def prepare(self) -> int | None: ...
    def check_in_init(self) -> int: ...
    def serve(
        self, *, on_mounted: Callable[[], None] = ..., control: str | None = None, detached: bool = False
    ) -> int: ...
    def say_mounted(self) -> None:
        """Prints what the command prints once it is mounted in the background."""
        ...


@dataclass(frozen=True, slots=True)
class Product:
    """module: has `make`, which gives the mount, and `run`, which mounts and serves. inodes: it speaks libfuse's
    low-level interface, where files are inodes; else the high-level one, where they are paths. kernel_seconds: how long
    the kernel keeps names and attributes of a mount that a harness made: libfuse's 1 s, or nothing where the mount
    remembers itself what it has told."""

    name: str
    default: str
    versions: tuple[str, ...]
    module: str
    inodes: bool
    kernel_seconds: float

    def make(self, argv: Sequence[str], *, version: str, fixed: profile.Fixed, around: Surroundings) -> Mountable:
        """The mount that a command line asks for, not yet prepared. Raises UnknownVersion,
        UnknownDefect."""
        made: Mountable = importlib.import_module(self.module).make(argv, version=version, fixed=fixed, around=around)
        return made


PRODUCTS: tuple[Product, ...] = (
    Product("ossfs", profile.DEFAULT_VERSION, tuple(profile.PROFILES), "ossfuse.mount", False, 1.0),
    Product("ossfs2", ossfs2.DEFAULT_VERSION, tuple(ossfs2.PROFILES), "ossfuse.ossfs2.mount", True, 0.0),
)


def known_versions() -> list[str]:
    """Every release of every product, oldest first."""
    return [version for product in PRODUCTS for version in product.versions]


def product_of(version: str) -> Product:
    """The product that a release belongs to ("2.0.7", also written "v2.0.7"; "1.91.3.ack" for ACK's build of one).
    Raises UnknownVersion."""
    name = version.removeprefix("v").partition(".ack")[0]
    for product in PRODUCTS:
        if name in product.versions:
            return product
    raise UnknownVersion(f"unknown ossfs version {version!r}; known: {', '.join(known_versions())}")
