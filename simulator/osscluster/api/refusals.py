"""What the API says when it refuses, in the API server's own words.

Sources: apimachinery `pkg/api/errors` (messages of a Status) and `pkg/util/validation/field` (field errors). Pure; any
thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from osscluster.api.kinds import Kind
from osscluster.api.objects import ApiError

__all__ = [
    "FieldError",
    "already_exists",
    "bad_request",
    "conflict",
    "duplicate",
    "forbidden",
    "forbidden_field",
    "immutable",
    "invalid",
    "invalid_value",
    "missing_reference",
    "not_found",
    "required",
    "unsupported",
]


@dataclass(frozen=True, slots=True)
class FieldError:
    """path: "spec.csi.driver"; reason: as in the causes of a Status; message: without the path."""

    path: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid_value(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}")


def immutable(path: str, value: Any) -> FieldError:
    return invalid_value(path, value, "field is immutable")


def unsupported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    values = ", ".join(f'"{each}"' for each in supported)
    return FieldError(path, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {values}")


def missing_reference(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueNotFound", f"Not found: {_shown(value)}")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def forbidden_field(path: str, detail: str) -> FieldError:
    return FieldError(path, "FieldValueForbidden", f"Forbidden: {detail}")


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def invalid(kind: Kind, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422: what kubectl prints as `The KIND "NAME" is invalid: ...`."""
    texts = [str(error) for error in errors]
    detail = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    causes = [{"reason": error.reason, "message": error.message, "field": error.path} for error in errors]
    message = f'{kind.qualified} "{name}" is invalid: {detail}'
    return ApiError("Invalid", 422, message, causes=causes, kind=kind.name, group=kind.group, name=name)


def not_found(kind: Kind, name: str) -> ApiError:
    return _about(kind, name, "NotFound", 404, f'{kind.resource} "{name}" not found')


def already_exists(kind: Kind, name: str) -> ApiError:
    return _about(kind, name, "AlreadyExists", 409, f'{kind.resource} "{name}" already exists')


def conflict(kind: Kind, name: str, detail: str = "") -> ApiError:
    detail = detail or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {detail}'
    return _about(kind, name, "Conflict", 409, message)


def forbidden(kind: Kind, name: str, detail: str) -> ApiError:
    return _about(kind, name, "Forbidden", 403, f'{kind.resource} "{name}" is forbidden: {detail}')


def bad_request(message: str) -> ApiError:
    return ApiError("BadRequest", 400, message)


def _about(kind: Kind, name: str, reason: str, code: int, message: str) -> ApiError:
    return ApiError(reason, code, message, kind=kind.plural, group=kind.group, name=name)
