"""Manifests as users write them: YAML files with one object after another.

Reads what kubectl reads, and says of everything that is wrong, unknown or not modelled where it stands. Changes no
cluster: the objects are for `Api.apply`. Pure but for `load`, which reads files; any thread.

Codes: K101 unknown field, K102 key given twice, K103 kind that is not modelled (warnings); K110 no YAML, K111 not an
object of Kubernetes, K112 no such kind, K120 value of the wrong type, K130 refused by the API server (errors).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from osscluster.api import defaults, schema, validation
from osscluster.api.goyaml import plain_data
from osscluster.api.kinds import KINDS, Kind, kind_of
from osscluster.api.objects import KubeObject, copied
from osscluster.api.refusals import FieldError
from osscluster.marks import Marks, Path, Problem, compose

__all__ = ["Manifest", "ManifestErrors", "Manifests", "load", "read"]

_STEP = re.compile(r"\[([^]]*)\]|([^.\[]+)")


class ManifestErrors(Exception):
    """Manifests cannot be used: correct each place that `problems` names."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object, as it was written. marks, base: where it stands in its file (base: inside a List)."""

    object: KubeObject
    marks: Marks
    base: Path = ()

    @property
    def place(self) -> str:
        """ "FILE:LINE"."""
        return f"{self.marks.file}:{self.marks.line(self.base)}"

    def problem(self, error: FieldError, code: str = "K130") -> Problem:
        """What the API server said of a field, with the place of that field or of what should hold it."""
        return self.marks.problem(
            (*self.base, *_steps(error.path)), code, f"{self._named()} is invalid: {error}", key=True
        )

    def _named(self) -> str:
        return f'{self.object["kind"]} "{(self.object.get("metadata") or {}).get("name", "")}"'


@dataclass(slots=True)
class Manifests:
    """objects: in their order. errors: what the API server, or kubectl before it, would refuse. warnings: what they
    would take, but not as it looks."""

    objects: list[Manifest] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def load(paths: Iterable[FilePath]) -> Manifests:
    """All the files together, in the order given. Raises ManifestErrors for anything wrong in any of them, OSError."""
    whole = Manifests()
    for path in paths:
        part = read(path.read_text(encoding="utf-8"), str(path))
        whole.objects += part.objects
        whole.errors += part.errors
        whole.warnings += part.warnings
    if whole.errors:
        raise ManifestErrors(whole.errors)
    return whole


def read(text: str, file: str) -> Manifests:
    """Never raises for what the text contains."""
    result = Manifests()

    def problem(found: Problem, refused: bool) -> None:
        (result.errors if refused else result.warnings).append(found)

    nodes = compose(text, file, "K110")
    if isinstance(nodes, Problem):
        result.errors.append(nodes)
        return result
    for node in nodes:
        marks = Marks(file)
        broken = len(result.errors)
        data = plain_data(node, marks, problem)
        if data is None or len(result.errors) > broken:
            continue
        for object, base in _unpacked(data, ()):
            _take(object, marks, base, result)
    return result


def _unpacked(data: Any, base: Path) -> Iterator[tuple[Any, Path]]:
    """An object, or those of a List."""
    if isinstance(data, dict) and data.get("kind") == "List" and isinstance(data.get("items"), list):
        for index, item in enumerate(data["items"]):
            yield from _unpacked(item, (*base, "items", index))
    else:
        yield data, base


def _take(object: Any, marks: Marks, base: Path, result: Manifests) -> None:
    if not isinstance(object, dict):
        result.errors.append(marks.problem(base, "K111", "a manifest is a mapping with apiVersion, kind and metadata"))
        return
    for name, words in (("kind", "Object 'Kind' is missing"), ("apiVersion", "apiVersion not set")):
        if not isinstance(object.get(name), str) or not object[name]:
            result.errors.append(marks.problem((*base, name), "K111", words))
            return
    kind = kind_of(object["apiVersion"], object["kind"])
    if kind is None:
        _stranger(object, marks, base, result)
        return
    manifest = Manifest(object, marks, base)
    wrong = False
    for finding in schema.findings(object, kind.name):
        place = (*base, *finding.path)
        if finding.unknown:
            result.warnings.append(marks.problem(place, "K101", finding.message, hint=finding.hint, key=True))
        else:
            wrong = True
            version = f'{kind.name} in version "{kind.version}"'
            message = f"{version} cannot be handled as a {kind.name}: {finding.message}"
            result.errors.append(marks.problem(place, "K120", message + _quotes(finding, object)))
    if wrong:
        return
    result.objects.append(manifest)
    result.errors.extend(manifest.problem(error) for error in _refused(object, kind))


def _refused(object: KubeObject, kind: Kind) -> list[FieldError]:
    """What the API server says of it, apart from what depends on the cluster."""
    trial: KubeObject = schema.normalised(copied(object), kind.name)
    trial.setdefault("metadata", {})
    if "spec" in (schema.field_types(kind.name) or {}):
        trial.setdefault("spec", {})
    metadata = trial["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = f"{metadata['generateName']}x"
    defaults.set_defaults(trial)
    return validation.create_errors(trial)


def _quotes(finding: schema.Finding, object: Any) -> str:
    """A remedy where quotes are one."""
    if not finding.message.endswith(" of type string"):
        return ""
    value = object
    for step in finding.path:
        value = value[step]
    if isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f'; write it in quotes: "{text}"'
    return ""


def _stranger(object: KubeObject, marks: Marks, base: Path, result: Manifests) -> None:
    """A kind that this API does not have: a slip of the pen is an error, another part of Kubernetes a warning."""
    name, version = object["kind"], object["apiVersion"]
    message = f'no matches for kind "{name}" in version "{version}"'
    if (known := KINDS.get(name)) is not None:
        problem = marks.problem((*base, "apiVersion"), "K112", message, hint=known.api_version)
        result.errors.append(problem)
        return
    lowered = {each.lower(): each for each in KINDS}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.85)
    if close:
        result.errors.append(marks.problem((*base, "kind"), "K112", message, hint=lowered[close[0]]))
    else:
        message = f'kind "{name}" in version "{version}" is not modelled: left out'
        result.warnings.append(marks.problem((*base, "kind"), "K103", message))


def _steps(dotted: str) -> Path:
    """ "spec.containers[0].image" as a path."""
    found = (match[1] if match[1] is not None else match[2] for match in _STEP.finditer(dotted))
    return tuple(int(step) if step.isdigit() else step for step in found)
