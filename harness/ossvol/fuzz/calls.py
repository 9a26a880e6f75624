"""What was asked of a `World`, kept so that it can be asked again of another: the outermost calls, with their answers.

Values and a decorator, no judgement. One thread.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

__all__ = ["Call", "Calls", "recorded"]


@dataclass(slots=True)
class Call:
    """name: of a method of `World`. answer: what it returned, None before it did."""

    name: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    answer: Any = None


@dataclass(slots=True)
class Calls:
    """made: in order; what a call does by other calls is not in it."""

    made: list[Call] = field(default_factory=list)
    inside: bool = False


class _Keeper(Protocol):
    asked: Calls


_Self = TypeVar("_Self", bound=_Keeper)
_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")


def recorded(method: Callable[Concatenate[_Self, _Given], _Answer]) -> Callable[Concatenate[_Self, _Given], _Answer]:
    """The method, whose calls from outside are kept in `asked`."""
    name = method.__name__

    @functools.wraps(method)
    def asked(self: _Self, *arguments: _Given.args, **named: _Given.kwargs) -> _Answer:
        calls = self.asked
        if calls.inside:
            return method(self, *arguments, **named)
        call = Call(name, arguments, named)
        calls.made.append(call)
        calls.inside = True
        try:
            answer = method(self, *arguments, **named)
        finally:
            calls.inside = False
        call.answer = answer
        return answer

    return cast("Callable[Concatenate[_Self, _Given], _Answer]", asked)
