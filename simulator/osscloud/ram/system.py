"""System policies: those that every account has under the same name. A table, read by any thread.

Documents as the RAM console shows them; only what OSS and STS ask about is here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["SYSTEM_POLICIES"]


def _allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "1", "Statement": [statement]})


SYSTEM_POLICIES: Mapping[str, str] = {
    "AdministratorAccess": _allow("*"),
    "AliyunOSSFullAccess": _allow("oss:*"),
    "AliyunOSSReadOnlyAccess": _allow("oss:Get*", "oss:List*"),
    "AliyunSTSAssumeRoleAccess": _allow("sts:AssumeRole"),
}
"""Name to document."""
