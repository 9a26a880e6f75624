"""The tables of a data directory's database, and the checksum that each row has. Values only."""

from __future__ import annotations

from zlib import crc32

__all__ = ["APPLICATION", "FORMAT", "SCHEMA", "TABLES", "checksum"]

FORMAT = 1
"""Kept as user_version. A release that changes the tables, or what the texts in them mean, counts it up."""

APPLICATION = 0x4F535356
"""Kept as application_id: "OSSV"."""

TABLES = ("fact", "account", "bucket", "version", "upload", "part", "piece")

# text: JSON, see state. content: the rows of `piece` that make a body which is not one small piece. sum: of all other
# columns but the place, which the unique index repeats.
SCHEMA = (
    "CREATE TABLE fact (name TEXT PRIMARY KEY, text TEXT NOT NULL, sum INTEGER NOT NULL)",
    """CREATE TABLE account (
        place INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, sum INTEGER NOT NULL,
        UNIQUE (kind, name))""",
    "CREATE TABLE bucket (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, sum INTEGER NOT NULL)",
    """CREATE TABLE version (
        place INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
        body BLOB, content INTEGER, sum INTEGER NOT NULL, UNIQUE (bucket, key, id))""",
    """CREATE TABLE upload (
        place INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
        sum INTEGER NOT NULL, UNIQUE (bucket, key, id))""",
    """CREATE TABLE part (
        upload INTEGER NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL, body BLOB, content INTEGER,
        sum INTEGER NOT NULL, PRIMARY KEY (upload, number))""",
    """CREATE TABLE piece (
        content INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB, file INTEGER, size INTEGER, start INTEGER,
        stop INTEGER, sum INTEGER NOT NULL, PRIMARY KEY (content, number))""",
    """CREATE TRIGGER version_gone AFTER DELETE ON version WHEN old.content IS NOT NULL
        BEGIN DELETE FROM piece WHERE content = old.content; END""",
    """CREATE TRIGGER version_rewritten AFTER UPDATE OF content ON version
        WHEN old.content IS NOT NULL AND old.content IS NOT new.content
        BEGIN DELETE FROM piece WHERE content = old.content; END""",
    """CREATE TRIGGER part_gone AFTER DELETE ON part WHEN old.content IS NOT NULL
        BEGIN DELETE FROM piece WHERE content = old.content; END""",
    """CREATE TRIGGER upload_gone AFTER DELETE ON upload BEGIN DELETE FROM part WHERE upload = old.place; END""",
    """CREATE TRIGGER bucket_gone AFTER DELETE ON bucket BEGIN
        DELETE FROM version WHERE bucket = old.id; DELETE FROM upload WHERE bucket = old.id; END""",
)


def checksum(*values: bytes | str | int | None) -> int:
    """CRC-32 over the columns of a row, whose order and number are part of it."""
    total = 0
    for value in values:
        if isinstance(value, str):
            total = crc32(value.encode(), total)
        elif isinstance(value, bytes):
            total = crc32(value, total)
        else:
            total = crc32(b"-" if value is None else b"%d" % value, total)
        total = crc32(b"\0", total)
    return total
