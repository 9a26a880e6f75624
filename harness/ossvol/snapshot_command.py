"""`ossvol snapshot save FILE` and `ossvol snapshot load FILE`: of a served cloud, or of a data directory that no
process serves at the moment."""

from __future__ import annotations

import json as json_module
import random
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossvol.errors import UsageError
from ossvol.keeping import kept, load_file, save_file, written

if TYPE_CHECKING:
    from osscloud.service import OssService
    from ossvol.control_client import ControlClient

__all__ = ["load", "save"]


def save(path: Path, *, endpoint: str = "", token: str = "", data: Path | None = None, json: bool = False) -> None:
    """Writes the state to a file, in place of one that is there. Raises UsageError."""
    client = _client(endpoint, token, data)
    if client is not None:
        written(path, lambda file: client.download("snapshot", file))
        _tell(path, {"bytes": path.stat().st_size}, f"saved to {path}", json=json)
        return
    assert data is not None
    if not data.is_dir():
        raise UsageError(f"{data} is no directory: there is nothing to save")
    service = _service()
    with kept(service, data):
        summary = save_file(service, path)
    _tell(path, asdict(summary), f"saved to {path}", json=json)


def load(path: Path, *, endpoint: str = "", token: str = "", data: Path | None = None, json: bool = False) -> None:
    """Replaces the state by that of a file; access keys as well. Raises UsageError; nothing was changed then."""
    client = _client(endpoint, token, data)
    if client is not None:
        try:
            with path.open("rb") as file:
                facts = client.upload("snapshot", file, path.stat().st_size)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        keys = [key["id"] for key in client.get("keys")["keys"]]
    else:
        assert data is not None
        service = _service()
        with kept(service, data):
            facts = asdict(load_file(service, path))
            keys = list(service.accounts.keys)
    _tell(path, {**facts, "access_key_ids": keys}, f"loaded from {path}", json=json)


def _client(endpoint: str, token: str, data: Path | None) -> ControlClient | None:
    from ossvol.control_client import ControlClient

    if (data is None) == (not endpoint):
        raise UsageError("of what cloud? give --endpoint URL --control-token T of a running one, or --data DIR")
    if not endpoint:
        if token:
            raise UsageError("--control-token goes with --endpoint")
        return None
    if not token:
        raise UsageError("--endpoint needs --control-token; ossvol serve printed it")
    return ControlClient(endpoint, token)


def _service() -> OssService:
    from osscloud.clock import AdjustableClock
    from osscloud.service import OssService

    return OssService(clock=AdjustableClock(), rng=random.Random(0))


def _tell(path: Path, facts: dict[str, Any], what: str, *, json: bool) -> None:
    if json:
        print(json_module.dumps({"version": 1, "file": str(path), **facts}))
        return
    counts = [f"{facts[name]} {name}" for name in ("buckets", "versions", "uploads", "bytes") if name in facts]
    print(f"{what}: {', '.join(counts)}")
    if "access_key_ids" in facts:
        print(f"access keys from now on: {', '.join(facts['access_key_ids']) or 'none'}")
