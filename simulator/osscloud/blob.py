"""Object content: bytes, or pieces that are never joined (`Pieces`), and the checksums over them. A piece may be an
`Extent`, which lies outside of memory and is read when it is wanted.

Pure functions and immutable values: any thread.
"""

from __future__ import annotations

from binascii import b2a_base64
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import md5
from itertools import chain
from typing import Protocol

from fastcrc import crc64

__all__ = [
    "Content",
    "Extent",
    "Piece",
    "Pieces",
    "combine_crc64",
    "content_md5",
    "crc64_of",
    "cut",
    "etag_of",
    "join",
    "read_all",
]

_POLYNOMIAL = 0xC96C5795D7870F42  # ECMA-182, reflected


class Extent(Protocol):
    """A piece of content that is not in memory."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[bytes]:
        """Its bytes in order, a bounded number at a time; each call starts again. Raises OSError when they are gone."""
        ...

    def cut(self, start: int, stop: int) -> Extent:
        """The bytes start..stop-1 of it."""
        ...


Piece = bytes | memoryview | Extent


class Pieces:
    """Content in pieces. Implements `message.Blob`; a cut shares the pieces' memory."""

    __slots__ = ("_ends", "_size", "pieces")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = tuple(piece for piece in pieces if len(piece))
        ends = []
        size = 0
        for piece in self.pieces:
            size += len(piece)
            ends.append(size)
        self._ends = ends
        self._size = size

    def __len__(self) -> int:
        return self._size

    def chunks(self) -> Iterator[bytes | memoryview]:
        return chain.from_iterable(
            (piece,) if isinstance(piece, bytes | memoryview) else piece.chunks() for piece in self.pieces
        )

    def cut(self, start: int, stop: int) -> Pieces:
        """The bytes start..stop-1, which must lie within the content."""
        selected: list[Piece] = []
        index = bisect_right(self._ends, start)
        while start < stop:
            piece = self.pieces[index]
            offset = start - (self._ends[index] - len(piece))
            end = min(len(piece), offset + stop - start)
            taken: Piece
            taken = memoryview(piece)[offset:end] if isinstance(piece, bytes | memoryview) else piece.cut(offset, end)
            selected.append(taken)
            start += len(taken)
            index += 1
        return Pieces(selected)


Content = bytes | Pieces


def cut(content: Content, start: int, stop: int) -> memoryview | Pieces:
    """The bytes start..stop-1 without copying them."""
    return memoryview(content)[start:stop] if isinstance(content, bytes) else content.cut(start, stop)


def join(contents: Sequence[Content | memoryview]) -> Content:
    """The contents one after the other, still in pieces when there are several."""
    pieces: list[Piece] = []
    for content in contents:
        if isinstance(content, Pieces):
            pieces.extend(content.pieces)
        else:
            pieces.append(content)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else Pieces(pieces)


def read_all(content: Content) -> bytes:
    """The whole content as one bytes object."""
    return content if isinstance(content, bytes) else b"".join(content.chunks())


def crc64_of(content: Content) -> int:
    """CRC-64/XZ, which OSS calls crc64ecma."""
    if isinstance(content, bytes):
        return crc64.xz(content) if content else 0
    value = 0
    for index, piece in enumerate(content.chunks()):
        value = crc64.xz(piece, value) if index else crc64.xz(piece)
    return value


def etag_of(content: Content) -> str:
    """The ETag of simple content: quoted upper-case MD5."""
    digest = md5(usedforsecurity=False)
    for piece in (content,) if isinstance(content, bytes) else content.chunks():
        digest.update(piece)
    return f'"{digest.hexdigest().upper()}"'


def content_md5(etag: str) -> str:
    """The Content-MD5 that belongs to the ETag of simple content."""
    return b2a_base64(bytes.fromhex(etag[1:-1]), newline=False).decode("ascii")


def combine_crc64(first: int, second: int, second_size: int) -> int:
    """The CRC of two contents joined, from their CRCs: `first` moved over `second_size` zero bytes, plus `second`."""
    while second_size:
        bit = second_size & -second_size
        first = _apply(_zero_operator(bit), first)
        second_size ^= bit
    return first ^ second


def _apply(matrix: tuple[int, ...], vector: int) -> int:
    total = 0
    for row in matrix:
        if not vector:
            break
        if vector & 1:
            total ^= row
        vector >>= 1
    return total


@lru_cache(maxsize=64)
def _zero_operator(size: int) -> tuple[int, ...]:
    """The GF(2) matrix that moves a CRC over `size` zero bytes; size: a power of two."""
    if size == 1:
        one_bit = (_POLYNOMIAL, *(1 << n for n in range(63)))
        matrix = one_bit
        for _ in range(3):
            matrix = tuple(_apply(matrix, row) for row in matrix)
        return matrix
    half = _zero_operator(size // 2)
    return tuple(_apply(half, row) for row in half)
