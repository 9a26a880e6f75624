"""Names that are no UTF-8, as the option use_wtf8 stores them: each wrong byte becomes a character from U+E000 on.

Names are str with the wrong bytes as surrogate escapes (U+DC80 to U+DCFF), as everywhere in Python. Pure functions.
"""

from __future__ import annotations

__all__ = ["decode", "encode"]

_BASE = 0xE000
_ENCODE = {0xDC00 + byte: chr(_BASE + byte) for byte in range(0x80, 0x100)}
# Reading back, any character of the range is taken for a byte, also one below 0x80 (source: s3fs_wtf8_decode).
_DECODE = {_BASE + byte: chr(byte) if byte < 0x80 else chr(0xDC00 + byte) for byte in range(0x100)}


def encode(name: str) -> str:
    """The name as it is stored."""
    return name if name.isascii() else name.translate(_ENCODE)


def decode(name: str) -> str:
    """The name as a process sees it."""
    if name.isascii():
        return name
    # Bytes that stand side by side now may be a valid character.
    return name.translate(_DECODE).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
