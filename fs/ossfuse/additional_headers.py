"""Additional headers of uploads, from the file of the option ahbe_conf.

A line is "SUFFIX HEADER VALUE", or "reg:REGEX HEADER VALUE" with a POSIX extended regular expression (1.91); a line
that begins with a blank has no suffix and counts for every object. Immutable once loaded; any thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["NO_HEADERS", "AdditionalHeaders", "BadHeaderFile"]

REGEX = "reg:"
_REG_EXTENDED_NOSUB = 1 | 8  # regex.h: REG_EXTENDED, REG_NOSUB
_REGEX_SIZE = 256  # regex_t has 64 bytes in glibc
_BLANKS = " \t"


class BadHeaderFile(Exception):
    """The file can't be read, or a line names no header."""


@dataclass(frozen=True, slots=True)
class _Rule:
    fits: Callable[[str], bool]
    header: str
    value: str


@dataclass(frozen=True, slots=True)
class AdditionalHeaders:
    """The rules of one file; without any, nothing is added."""

    rules: Sequence[_Rule] = field(default=())

    @classmethod
    def load(cls, path: str, *, regex: bool) -> AdditionalHeaders:
        """regex: whether the release knows "reg:". Raises BadHeaderFile."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                lines = file.read().split("\n")
        except OSError as error:
            raise BadHeaderFile(str(error)) from error
        return cls.parse(lines, regex=regex)

    @classmethod
    def parse(cls, lines: Sequence[str], *, regex: bool) -> AdditionalHeaders:
        """Source: AdditionalHeader::Load. Raises BadHeaderFile."""
        rules = []
        for line in lines:
            if not line or line.startswith("#"):
                continue
            suffix, rest = ("", line) if line[0] in _BLANKS else _word(line)
            header, value = _word(rest)
            if not header:
                if not suffix:
                    continue
                raise BadHeaderFile(f"{suffix} names no header")
            fits = _matcher(suffix, regex=regex)
            if fits is not None:
                # One separator is cut, more of them belong to the value.
                rules.append(_Rule(fits, header, value[1:]))
        return cls(tuple(rules))

    def of(self, path: str) -> dict[str, str]:
        """Headers for the object at `path` (absolute inside the mount); the last rule for a header wins."""
        return {rule.header.lower(): rule.value for rule in self.rules if rule.fits(path)}


NO_HEADERS = AdditionalHeaders()


def _word(text: str) -> tuple[str, str]:
    """The first word and what follows it, separator included."""
    text = text.lstrip(" \t\r\v\f")
    end = next((index for index, letter in enumerate(text) if letter in " \t\r\v\f"), len(text))
    return text[:end], text[end:]


def _matcher(suffix: str, *, regex: bool) -> Callable[[str], bool] | None:
    """None for an expression that is empty or wrong, which ossfs logs and leaves out."""
    if regex and suffix.lower().startswith(REGEX):
        return _posix_regex(suffix[len(REGEX) :])
    if not regex:
        return lambda path: path.endswith(suffix)
    return lambda path: len(suffix) < len(path) and path.endswith(suffix)


def _posix_regex(pattern: str) -> Callable[[str], bool] | None:
    # The C library's own: POSIX expressions differ from Python's in classes, in what an empty branch means and more.
    libc = ctypes.CDLL(None)
    compiled = ctypes.create_string_buffer(_REGEX_SIZE)
    raw = pattern.encode("utf-8", "surrogateescape")
    if not raw or libc.regcomp(compiled, raw, _REG_EXTENDED_NOSUB):
        return None
    return lambda path: libc.regexec(compiled, path.encode("utf-8", "surrogateescape"), 0, None, 0) == 0
