"""Suffix to Content-Type, from a mime.types file.

Not Python's `mimetypes`: ossfs knows nothing but its file, and looks at the last two suffixes. Immutable; any thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["DIRECTORY", "OCTET_STREAM", "MimeTable"]

_WORD = re.compile(r"[^ \t\r\v\f]+")

OCTET_STREAM = "application/octet-stream"
DIRECTORY = "application/x-directory"


@dataclass(frozen=True, slots=True)
class MimeTable:
    """types: lower-case suffix without its dot to Content-Type. An empty table makes every file an octet-stream: what
    happens on a machine without /etc/mime.types."""

    types: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def load(cls, text: str) -> MimeTable:
        """Reads "type suffix suffix ..." lines; a later line wins. Only a "#" in the first column starts a comment
        (source: S3fsCurl::InitMimeType)."""
        types: dict[str, str] = {}
        for line in text.split("\n"):
            if line.startswith("#"):
                continue
            # isspace() of the C locale takes less for a blank than str.split() does.
            content_type, *suffixes = _WORD.findall(line) or [""]
            for suffix in suffixes:
                types[suffix.lower()] = content_type
        return cls(MappingProxyType(types))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> MimeTable | None:
        """The table in `path`; None when the file cannot be read (ossfs goes on without one)."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return cls.load(file.read())
        except OSError:
            return None

    def lookup(self, name: str) -> str:
        """Content-Type for a key or path: by its last suffix, else by the one before it, in any case; a name ending
        in "/" is a directory (source: S3fsCurl::LookupMimeType, which looks for dots in the whole path)."""
        if name.endswith("/"):
            return DIRECTORY
        rest, dot, last = name.rpartition(".")
        if not dot:
            return OCTET_STREAM
        found = self.types.get(last.lower())
        if found is None and "." in rest:
            found = self.types.get(rest.rpartition(".")[2].lower())
        return found or OCTET_STREAM
