"""A YAML file as plain data plus the line and column of every key and value.

Knows nothing of scenarios: only the YAML subset (mappings with text keys, sequences, plain scalars; no anchors, no
tags) and where everything stands. Pure; any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from osscluster.marks import Marks, Path, Problem, compose

__all__ = ["Document", "Path", "Scalar", "parse"]

Scalar = str | int | float | bool | None
Data = Scalar | list["Data"] | dict[str, "Data"]

_YAML_TAG = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document(Marks):
    """data: what the file says, None when nothing could be read. problems: what the YAML subset forbids."""

    data: Data = None
    problems: list[Problem] = field(default_factory=list)
    _source: dict[Path, str] = field(default_factory=dict)

    def source(self, path: Path) -> str:
        """The scalar at `path` as it is spelled in the file ("0640", where YAML reads 416)."""
        return self._source.get(path, "")


def parse(text: str, file: str) -> Document:
    """Reads one YAML document. Never raises for what the text contains: it is in `problems`."""
    document = Document(file)
    nodes = compose(text, file, "E110")
    if isinstance(nodes, Problem):
        document.problems.append(nodes)
        return document
    if not nodes:
        document.problems.append(Problem(file, 1, 1, "E110", "the file is empty"))
        return document
    if len(nodes) > 1:
        mark = nodes[1].start_mark
        message = "not valid YAML: expected a single document in the stream but found another document"
        document.problems.append(Problem(file, mark.line + 1, mark.column + 1, "E110", message))
        return document
    if _aliases(text, document):
        return document
    document.data = _build(nodes[0], (), document)
    return document


def _aliases(text: str, document: Document) -> bool:
    """Reports anchors and aliases: one file, read from top to bottom, is what a scenario is."""
    if "&" not in text and "*" not in text:
        return False
    found = False
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            mark = event.start_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            message = "YAML aliases are not part of the language"
            document.problems.append(Problem(document.file, line, column, "E111", message))
            found = True
    return found


def _build(node: yaml.Node, path: Path, document: Document) -> Data:
    document.note(path, node)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*path, index), document) for index, child in enumerate(node.value)]
    document._source[path] = node.value
    return _scalar(node, path, document)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Data]:
    result: dict[str, Data] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        mark = key_node.start_mark
        here = (document.file, mark.line + 1, mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem(*here, "E102", "a key must be text"))
            continue
        # Object keys may look like numbers; a key is always taken as it is written.
        key = str(key_node.value)
        if key in first:
            document.problems.append(Problem(*here, "E104", f'duplicate key "{key}" (first on line {first[key]})'))
            continue
        first[key] = mark.line + 1
        child = (*path, key)
        document.note(child, value_node, key_node)
        result[key] = _build(value_node, child, document)
    return result


def _scalar(node: yaml.Node, path: Path, document: Document) -> Scalar:
    kind = node.tag.removeprefix(_YAML_TAG)
    text = str(node.value)
    try:
        match kind:
            case "str" | "timestamp":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() in ("yes", "true", "on")
            case "int":
                return _integer(text)
            case "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".Inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
    document.problems.append(document.problem(path, "E111", f"the YAML tag {node.tag} is not part of the language"))
    return text


def _integer(text: str) -> int:
    """As YAML 1.1 reads it: 0640 is octal. Sexagesimal (1:30) stays text, through the ValueError."""
    digits = text.replace("_", "").lower()
    body = digits.lstrip("+-")
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        return int(digits, 8)
    return int(digits, 0)
