"""YAML as kubectl reads it: go-yaml's YAML 1.1 made into JSON.

Differs from PyYAML where users get hurt: y and n are booleans, 0o17 and 0640 are numbers, 1:30 is text, dates stay
text, keys become text. Source: sigs.k8s.io/yaml (goyaml.v2 `resolve.go`, `yaml.go`), compared with kubectl in the
tests. Pure; any thread.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import yaml

from osscluster.marks import Marks, Path, Problem

__all__ = ["plain_data"]

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"])
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_INTEGER = re.compile(r"[-+]?(0x[0-9a-fA-F]+|0b[01]+|0o[0-7]+|0[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_JSON = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_PYYAML = yaml.resolver.Resolver()


def plain_data(node: yaml.Node, marks: Marks, problem: Callable[[Problem, bool], None]) -> Any:
    """The JSON that a document is; every place goes into `marks`. problem: told what is wrong, and whether kubectl
    would refuse it (K110) or silently do otherwise than it looks (K102, a key given twice: the last one counts)."""
    return _Builder(marks, problem).build(node, ())


class _Builder:
    def __init__(self, marks: Marks, problem: Callable[[Problem, bool], None]) -> None:
        self._marks = marks
        self._problem = problem
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._marks.note(path, node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._refuse(path, "an anchor's value contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _refuse(self, path: Path, message: str) -> None:
        self._problem(self._marks.problem(path, "K110", f"not valid YAML: {message}"), True)

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge" and not key_node.style:
                merged = self._merged(value_node, path) | merged
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            child = (*path, key)
            self._marks.note(child, value_node, key_node)
            if key in first:
                message = f'key "{key}" given twice (first on line {first[key]}): kubectl takes the last one'
                self._problem(self._marks.problem(child, "K102", message, key=True), False)
            first[key] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, child)
        return merged | result

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """What << brings; of several mappings the first one wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        result: dict[str, Any] = {}
        for each in nodes:
            value = self.build(each, path)
            if not isinstance(value, dict):
                self._refuse(path, "map merge requires map or sequence of maps as the value")
                return result
            result = value | result
        return result

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            value = self._scalar(node, path)
            if isinstance(value, bool):
                return "true" if value else "false"
            if isinstance(value, str | int | float):
                return str(value)
        self._marks.note((*path, "?"), node)
        self._refuse((*path, "?"), "unsupported map key: a key must be text, a number or a boolean")
        return None

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        text: str = node.value
        # What PyYAML would resolve it to by itself is no tag that somebody wrote.
        implicit = _PYYAML.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if not node.style and node.tag == implicit:
            if _NO_JSON.fullmatch(text):
                self._refuse(path, f"{text} has no equal in JSON")
            return _resolved(text)
        match node.tag.removeprefix(_TAG):
            case "binary":
                return base64.b64decode(text).decode("utf-8", "replace")
            case "int" | "float" | "bool" | "null":
                return _resolved(text)
        return text


def _resolved(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    digits = text.replace("_", "") if text[:1] in "+-.0123456789" else ""
    if _INTEGER.fullmatch(digits):
        sign, body = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
        octal = len(body) > 1 and body[0] == "0" and body[1].isdigit()
        number = sign * int(body, 8 if octal else 0)
        return number if -(2**63) <= number < 2**64 else float(number)
    if _FLOAT.fullmatch(text):
        value = float(text)
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return text
