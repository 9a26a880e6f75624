"""Quantities of Kubernetes: "5Gi", "500m", "1e3".

Source: apimachinery `pkg/api/resource/quantity.go`. Pure; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

__all__ = ["Quantity", "QuantityError"]

_FORM = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?", re.ASCII)

_SUFFIXES: Mapping[str, Decimal] = {
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")},
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTPE")},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}


_MOST = Decimal(2**63 - 1)


class QuantityError(ValueError):
    """No quantity; str() is the API server's message."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """value: in units (bytes, cores)."""

    value: Decimal

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Raises QuantityError. What is larger than 2^63-1 is that much ("capped", source: the documentation there)."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise QuantityError(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
        suffix = found["suffix"] or ""
        try:
            if suffix[:1] in ("e", "E") and len(suffix) > 1:
                value = Decimal(found["number"] + suffix)
            else:
                value = Decimal(found["number"]) * _SUFFIXES.get(suffix, Decimal(1))
            return cls(max(-_MOST, min(value, _MOST)))
        except InvalidOperation as error:
            raise QuantityError("unable to parse quantity's suffix") from error
