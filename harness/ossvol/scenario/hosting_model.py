"""The scenario language's words for static websites and mirrors.

Values are frozen; any thread may read them. Every description ends up in the JSON Schema that editors show.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ossvol.scenario.base import FrozenModel

__all__ = ["BUCKET_NAME", "LOOPBACK_URL", "MirrorSpec", "RoutingRuleSpec", "WebsiteSpec"]

BUCKET_NAME = r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"
LOOPBACK_URL = r"^https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?/([^?#]*/)?$"


class RoutingRuleSpec(FrozenModel):
    """A RoutingRule that leads elsewhere. The condition: prefix, suffix, error_code (what the request would be answered
    otherwise). status: HttpRedirectCode."""

    prefix: str | None = None
    suffix: str | None = None
    error_code: int | None = Field(None, ge=400, le=599)
    redirect: Literal["External", "AliCDN", "Internal"] = "External"
    status: Literal[301, 302, 307] = 301
    protocol: Literal["http", "https"] | None = None
    host: str | None = None
    replace_key_with: str | None = None
    replace_prefix_with: str | None = None
    pass_query: bool = False


class WebsiteSpec(FrozenModel):
    """Static website hosting. index: Suffix of the index document; error: Key of the error document."""

    index: str | None = None
    support_sub_dir: bool = False
    type: Literal[0, 1, 2] = 0
    error: str | None = None
    error_status: Literal[200, 404] = 404
    rules: list[RoutingRuleSpec] = []


class MirrorSpec(FrozenModel):
    """A rule that fetches what is missing (404) from an origin. prefix: only keys that start so; replace_prefix_with:
    what they start with at the origin. url: of the origin, when it is not the one under given."""

    prefix: str = ""
    replace_prefix_with: str | None = None
    url: str | None = Field(None, pattern=LOOPBACK_URL)
    follow_redirect: bool = True
    pass_query: bool = False
    allow_head: bool = False
    proxy_pass: bool = False
