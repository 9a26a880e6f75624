"""What has been read of objects, by inode: the kernel's page cache, which ossfs2 leaves in place from one open(2) to
the next as long as the object has not changed.

Bounded: what was used longest ago goes first. Any thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from ossfuse.ossfs2.inode import Node

__all__ = ["BLOCK", "Pages"]

BLOCK = 1024 * 1024
CAPACITY = 64 * BLOCK


class Pages:
    """Blocks of 1 MiB; the last one of a file may be shorter. capacity: bytes."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._size = 0
        self._blocks: OrderedDict[tuple[Node, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, node: Node, start: int, end: int) -> bool:
        """Whether every block of a range is there."""
        with self._lock:
            return all((node, number) in self._blocks for number in range(start // BLOCK, -(-end // BLOCK)))

    def store(self, node: Node, start: int, data: bytes) -> None:
        """start: of a block."""
        with self._lock:
            for position in range(0, len(data), BLOCK):
                key = (node, (start + position) // BLOCK)
                block = data[position : position + BLOCK]
                self._size += len(block) - len(self._blocks.pop(key, b""))
                self._blocks[key] = block
            while self._size > max(self._capacity, len(data)):
                _, oldest = self._blocks.popitem(last=False)
                self._size -= len(oldest)

    def read(self, node: Node, offset: int, size: int) -> bytes | None:
        """None where a part is missing."""
        pieces = []
        end = offset + size
        with self._lock:
            while offset < end:
                number, inside = divmod(offset, BLOCK)
                piece = self._blocks.get((node, number), b"")[inside : inside + end - offset]
                if not piece:
                    return None
                self._blocks.move_to_end((node, number))
                pieces.append(piece)
                offset += len(piece)
        return b"".join(pieces)

    def drop(self, node: Node) -> None:
        """The object has changed."""
        with self._lock:
            for key in [key for key in self._blocks if key[0] is node]:
                self._size -= len(self._blocks.pop(key))

    def clear(self) -> None:
        with self._lock:
            self._blocks.clear()
            self._size = 0
