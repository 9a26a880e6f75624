"""A cloud's state in files: a data directory that is in use for a while, a snapshot that is read or written. What can
be wrong with them becomes a `UsageError`.

A snapshot file is written beside its place first: a run that is ended leaves the old one, or none.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from ossvol.errors import UsageError

if TYPE_CHECKING:
    from osscloud.persistence.snapshot import Summary
    from osscloud.service import OssService

__all__ = ["kept", "load_file", "save_file", "written"]

Result = TypeVar("Result")


@contextmanager
def kept(service: OssService, root: Path, *, synced: bool = False) -> Iterator[None]:
    """A new service has the state of a directory, and every change goes there. Raises UsageError."""
    from osscloud.errors import OssError
    from osscloud.persistence.directory import DataDirectory
    from osscloud.persistence.errors import StateError

    try:
        directory = DataDirectory(root, synced=synced)
    except StateError as error:
        raise UsageError(str(error)) from error
    try:
        try:
            directory.attach(service)
        except StateError as error:
            raise UsageError(str(error)) from error
        yield
    finally:
        try:
            directory.close()
        except OssError as error:
            raise UsageError(f"{root}: {error.message}") from error


def load_file(service: OssService, path: Path) -> Summary:
    """Replaces the state of a service by that of a snapshot file. Raises UsageError; nothing was changed then."""
    from osscloud.persistence.errors import StateError
    from osscloud.persistence.snapshot import load

    try:
        with path.open("rb") as file:
            return load(service, file, str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except StateError as error:
        raise UsageError(str(error)) from error


def save_file(service: OssService, path: Path) -> Summary:
    """Writes the state of a service to a snapshot file. Raises UsageError."""
    from osscloud.persistence.snapshot import save

    return written(path, lambda file: save(service, file))


def written(path: Path, write: Callable[[BinaryIO], Result]) -> Result:
    """Has a file written and puts it in its place when it is complete. Raises UsageError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    unfinished = Path(name)
    try:
        with open(descriptor, "w+b") as file:
            result = write(file)
        unfinished.chmod(0o666 & ~_umask())
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return result


def _umask() -> int:
    """What the user keeps from others; there is no way to look at it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
