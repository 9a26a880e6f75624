"""Server-side encryption as the client asks for it: the options use_sse and load_sse_c, and their variables.

Values only; any thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["BadKeyFile", "CustomerKey", "customer_headers", "customer_keys", "object_headers", "source_headers"]

_HEADER = "x-oss-server-side-encryption"
_CUSTOMER = f"{_HEADER}-customer"
_COPIED_CUSTOMER = "x-oss-copy-source-server-side-encryption-customer"
_LONGEST_PLAIN = 32  # A longer key is taken for base64 (source: PushbackSseKeys).


class BadKeyFile(Exception):
    """The file of customer keys can't be used. The message is ossfs's own."""


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key that the client keeps (SSE-C). encoded: base64 of it; digest: base64 of its MD5."""

    encoded: str
    digest: str


def customer_keys(path: str) -> tuple[CustomerKey, ...]:
    """The keys in a file, one a line (source: SetSseCKeys). Raises BadKeyFile."""
    try:
        mode = os.stat(path).st_mode
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            keys = tuple(_keys(file))
    except OSError as error:
        raise BadKeyFile(f"could not open use_sse keys file({path}).") from error
    if mode & (stat.S_IXUSR | stat.S_IRWXG | stat.S_IRWXO):
        raise BadKeyFile(f"use_sse keys file {path} should be 0600 permissions.")
    if not keys:
        raise BadKeyFile(f"There is no SSE Key in file({path}).")
    return keys


def _keys(lines: Iterable[str]) -> Iterable[CustomerKey]:
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        raw = text.encode("utf-8", "surrogateescape")
        if len(raw) > _LONGEST_PLAIN:
            try:
                raw = base64.b64decode(raw)
            except binascii.Error:
                continue
        digest = hashlib.md5(raw, usedforsecurity=False).digest()
        yield CustomerKey(base64.b64encode(raw).decode(), base64.b64encode(digest).decode())


def customer_headers(key: CustomerKey, *, source: bool = False) -> dict[str, str]:
    """Headers that hand the key over; source: the key of the object that is copied."""
    prefix = _COPIED_CUSTOMER if source else _CUSTOMER
    return {f"{prefix}-algorithm": "AES256", f"{prefix}-key": key.encoded, f"{prefix}-key-md5": key.digest}


def object_headers(kind: str, kms_id: str, keys: tuple[CustomerKey, ...]) -> dict[str, str]:
    """Headers of a new object. kind: "", "AES256", "KMS" or "SSE-C", which takes the first of `keys`."""
    if kind == "SSE-C":
        return customer_headers(keys[0]) if keys else {}
    headers = {_HEADER: kind} if kind else {}
    if kind == "KMS" and kms_id:
        headers[f"{_HEADER}-key-id"] = kms_id
    return headers


def source_headers(known: Mapping[str, str], keys: tuple[CustomerKey, ...]) -> dict[str, str]:
    """Headers that keep the encryption of an object that is copied, whose headers are `known`."""
    headers: dict[str, str] = {}
    kind, kms_id = known.get(_HEADER, ""), known.get(f"{_HEADER}-key-id", "")
    if kind and kind != "KMS":
        headers[_HEADER] = "AES256"
    if kms_id:
        headers |= {_HEADER: "KMS", f"{_HEADER}-key-id": kms_id}
    digest = known.get(f"{_CUSTOMER}-key-md5", "")
    for key in keys:
        if digest and key.digest == digest:
            return headers | customer_headers(key, source=True) | customer_headers(key)
    return headers
