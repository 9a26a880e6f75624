"""gzip on the way out: what GetObject does for text when the client accepts it.

The answer then has neither ETag nor Content-Length (vendor documentation, "GetObject", note on Accept-Encoding).
Pure function.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from osscloud.blob import Content, read_all
from osscloud.message import Response

__all__ = ["MIN_BYTES", "compressed"]

MIN_BYTES = 1024

_TYPES = frozenset(
    {
        "text/cache-manifest",
        "text/xml",
        "text/plain",
        "text/css",
        "text/html",
        "text/json",
        "application/javascript",
        "application/x-javascript",
        "application/rss+xml",
        "application/json",
        "application/xml",
    }
)


def compressed(request: Mapping[str, str], answer: dict[str, str], content: Content) -> Response | None:
    """The compressed answer to a GET of the whole content, None when it goes out as it is. request: headers, lower
    case; answer: the headers of the plain answer."""
    accepted = (item.partition(";")[0].strip() for item in request["accept-encoding"].lower().split(","))
    if "gzip" not in accepted or len(content) < MIN_BYTES or "Content-Encoding" in answer:
        return None
    if answer["Content-Type"].partition(";")[0].strip().lower() not in _TYPES:
        return None
    headers = {name: value for name, value in answer.items() if name not in ("ETag", "Content-Length", "Content-MD5")}
    headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Transfer-Encoding": "chunked"}
    # No time in the header: the same object gives the same bytes.
    return Response(200, headers, gzip.compress(read_all(content), mtime=0))
