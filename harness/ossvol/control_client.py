"""Calls of a served cloud's control interface (`osscloud.control`). Blocking; any thread."""

from __future__ import annotations

import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, Any, BinaryIO
from urllib.parse import urlencode, urlsplit

from ossvol.errors import UsageError

__all__ = ["ControlClient"]

_TIMEOUT = 600.0  # seconds; a large snapshot takes its time


class ControlClient:
    """endpoint: "http://127.0.0.1:PORT"; token: the control token that `ossvol serve` printed. Every call raises
    UsageError when the server cannot be reached or refuses."""

    def __init__(self, endpoint: str, token: str) -> None:
        if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
            raise UsageError(f"{endpoint!r} is no endpoint: write http://HOST:PORT as ossvol serve printed it")
        if not token.isascii() or not token.isprintable():
            raise UsageError("the control token has characters that none has")
        self._endpoint = endpoint.rstrip("/")
        self._token = token
        # Whatever proxy the environment names is not for a server on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A JSON answer. path: below /-/."""
        with self._send("GET", path + (f"?{urlencode(query)}" if query else "")) as answer:
            return self._json(answer)

    def download(self, path: str, file: BinaryIO) -> None:
        """An answer that is a file. Raises UsageError when it is cut off."""
        with self._send("GET", path) as answer:
            length = int(answer.headers["Content-Length"])
            shutil.copyfileobj(answer, file)
        if file.tell() != length:
            raise UsageError(f"{self._endpoint} broke off after {file.tell()} of {length} bytes: try again")

    def upload(self, path: str, file: BinaryIO, size: int) -> dict[str, Any]:
        """PUTs a file; the JSON answer."""
        with self._send("PUT", path, file, {"Content-Length": str(size)}) as answer:
            return self._json(answer)

    def _send(
        self, method: str, path: str, body: BinaryIO | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        request = urllib.request.Request(f"{self._endpoint}/-/{path}", data=body, method=method)
        request.add_header("Authorization", f"Bearer {self._token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            return self._opener.open(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            with error:
                raise UsageError(f"{self._endpoint}: {_reason(error)}") from error
        except urllib.error.URLError as error:
            raise UsageError(
                f"cannot reach {self._endpoint}: {getattr(error.reason, 'strerror', None) or error.reason}; is ossvol "
                "serve running there?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise UsageError(f"cannot talk to {self._endpoint}: {error}") from error

    def _json(self, answer: IO[bytes]) -> dict[str, Any]:
        try:
            value = json.load(answer)
        except (ValueError, http.client.HTTPException, OSError) as error:
            raise UsageError(f"{self._endpoint} answers no JSON: is it ossvol serve?") from error
        if not isinstance(value, dict):
            raise UsageError(f"{self._endpoint} answers something else than ossvol serve does")
        return value


def _reason(error: urllib.error.HTTPError) -> str:
    if error.code == 403:
        return "the control token is wrong; ossvol serve prints it when it starts"
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"{error.code} {error.reason}: is it ossvol serve?"
