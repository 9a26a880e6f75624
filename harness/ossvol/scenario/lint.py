"""Everything that can be wrong with a scenario file, found in one pass.

Two halves over the same plain data: pydantic judges shape and types, `_Names` judges what shape cannot show (a handle
that nobody opens, a cause that the FAQ does not have). The second half tolerates whatever the first one rejects, so one
mistake never hides another. Pure; any thread.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from osscluster.marks import Problem
from ossvol.causes import causes
from ossvol.scenario import model
from ossvol.scenario.document import Document, Path
from ossvol.scenario.vocabulary import CLUSTER_EXPECTATIONS, VersionRange, expectations, known_versions

__all__ = ["check", "check_given", "normalise"]

_STEP_LISTS = ("when", "remedy", "resolved")

# Where a key's value (or each member of it) is a model: its fields are the words a misspelt key is compared with.
_MODELS_BY_KEY: Mapping[str, type[BaseModel]] = {
    "given": model.Given,
    "bucket": model.BucketSpec,
    "objects": model.ObjectSpec,
    "credentials": model.CredentialsSpec,
    "volume": model.VolumeGiven,
    "volumes": model.VolumeGiven,
    "containers": model.ContainerSpec,
    "title": model.Title,
    "versions": model.Versions,
    "expect": model.Expect,
    "entries": model.EntryExpect,
    "object": model.ObjectExpect,
    "holders": model.HolderExpect,
    "fault": model.FaultSpec,
    "website": model.WebsiteSpec,
    "mirror": model.MirrorSpec,
    "rules": model.RoutingRuleSpec,
    "origin": model.OriginSpec,
    "s3": model.S3OriginSpec,
    "mount": model.MountChange,
    "remount": model.MountChange,
    "remedies": model.Alternative,
    "control": model.Control,
    "evidence": model.Evidence,
    "cluster": model.ClusterGiven,
    "nodes": model.NodeGiven,
    "pods": model.PodExpect,
    "events": model.EventExpect,
    "resources": model.ResourceExpect,
    "records": model.RecordExpect,
    "log": model.LogQuery,
}

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "no value",
    "int_from_float": "a whole number",
}


def normalise(data: dict[str, Any]) -> tuple[dict[str, Any], frozenset[int]]:
    """The data with every short control ({<step>, then: ...}) in its long form, and the indices of those."""
    control = data.get("control")
    if not isinstance(control, list):
        return data, frozenset()
    short = set()
    long: list[Any] = []
    for index, entry in enumerate(control):
        if isinstance(entry, dict) and "do" not in entry and any(key not in ("title", "then") for key in entry):
            short.add(index)
            step = {key: value for key, value in entry.items() if key not in ("title", "then")}
            rest = {key: entry[key] for key in ("title", "then") if key in entry}
            long.append({**rest, "do": [step]})
        else:
            long.append(entry)
    return {**data, "control": long}, frozenset(short)


def as_written(path: Path, short: frozenset[int]) -> Path:
    """Where a path of the normalised data stands in the file."""
    if len(path) >= 4 and path[0] == "control" and path[1] in short and path[2:4] == ("do", 0):
        return (*path[:2], *path[4:])
    return path


def check(document: Document) -> tuple[model.Scenario | None, frozenset[int], list[Problem]]:
    """The scenario, or None with the problems that there are; and which controls were written in the short form."""
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        if not problems:
            problems.append(document.problem((), "E102", "a scenario is a mapping"))
        return None, frozenset(), problems
    data, short = normalise(document.data)
    checker = _Names(document, data, short)
    checker.run()
    problems += checker.problems
    scenario = None
    try:
        scenario = model.Scenario.model_validate(data)
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            found = _translate(entry, document, data, short)
            if found is not None:
                problems.append(found)
    unique = sorted(set(problems))
    return (scenario if not unique else None), short, unique


def check_given(document: Document) -> tuple[model.Given | None, list[Problem]]:
    """What a file says that holds only what a scenario has under `given`, or the list of objects alone."""
    problems = list(document.problems)
    alone = isinstance(document.data, list)
    data = {"objects": document.data} if alone else document.data
    if not isinstance(data, dict):
        text = "wanted is a list of objects, or a mapping as under `given` of a scenario"
        return None, problems or [document.problem((), "E102", text)]
    given = None
    try:
        given = model.Given.model_validate(data)
    except ValidationError as error:
        for entry in error.errors(include_url=False):
            where = {**entry, "loc": entry["loc"][1:]} if alone else entry
            found = _translate(where, document, document.data, frozenset())
            if found is not None:
                problems.append(found)
    return (given if not problems else None), sorted(set(problems))


def nearest(word: str, words: Iterable[str]) -> str:
    """The word that was probably meant, "" when none is near."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return found[0] if found else ""


def fields(of: type[BaseModel]) -> list[str]:
    """The keys that a model takes, as they are written in a file."""
    return [info.alias or name for name, info in of.model_fields.items()]


# --- shape and types ------------------------------------------------------------------------------------------------


def _resolve(location: tuple[Any, ...], data: Any) -> tuple[Path, Any, str]:
    """A pydantic location without the names of union members: path, value there, and a last key that is not there."""
    path: list[str | int] = []
    value = data
    absent = ""
    for part in location:
        in_mapping = isinstance(value, dict) and part in value
        if in_mapping or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            path.append(part)
            value = value[part]
        elif isinstance(part, str) and not part.startswith(("verb:", "form:", "[key]")):
            absent = part
    return tuple(path), value, absent


def _keys_of(path: Path, data: Any) -> list[str]:
    """The keys that the mapping at `path` may have."""
    value = data
    for part in path:
        value = value[part]
    names = [part for part in path if isinstance(part, str)]
    if isinstance(value, dict) and (len(path) >= 2 and isinstance(path[-1], int)):
        verb = next((key for key in value if key in model.STEP_MODELS), None)
        if verb is not None and path[-2] in ("when", "remedy", "resolved", "do", "then"):
            return fields(model.STEP_MODELS[verb])
    if not names:
        if isinstance(data, list):
            return fields(model.ObjectSpec)
        return fields(model.Scenario if "scenario" in data else model.Given)
    for name in reversed(names[-2:]):
        if name in _MODELS_BY_KEY:
            return fields(_MODELS_BY_KEY[name])
    return []


def _translate(error: Any, document: Document, data: Any, short: frozenset[int]) -> Problem | None:
    path, value, absent = _resolve(error["loc"], data)
    here = as_written(path, short)
    kind = str(error["type"])
    context = error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            key = str(path[-1])
            hint = nearest(key, _keys_of(path[:-1], data))
            return document.problem(here, "E101", f'unknown key "{key}"', hint=hint, key=True)
        case "missing":
            return document.problem(here, "E112", f'missing key "{absent}"')
        case "union_tag_not_found" | "union_tag_invalid":
            return None  # a step without a verb: `_Names` says which word is wrong
        case "literal_error":
            choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            return document.problem(here, "E114", _not_one_of(value, choices), hint=nearest(str(value), choices))
        case "E114" if "choices" in context:
            choices = context["choices"]
            key = str(path[-1]) if path else ""
            what = {"errno": "errno", "policy": "system policy", "fixed": "defect"}.get(key, "operation")
            message = f"unknown {what} {_quote(context['name'])}"
            key_wrong = error["loc"][-1] == "[key]"
            return document.problem(here, "E114", message, hint=nearest(context["name"], choices), key=key_wrong)
        case "E103":
            return document.problem(here, "E103", _mode_message(value, document.source(here), error["msg"]))
        case "too_short":
            return document.problem(here, "E112", "at least one entry is needed")
        case "string_pattern_mismatch":
            message = f"{_quote(value)} does not have the form {context.get('pattern', '')}"
            return document.problem(here, "E114", message)
        case "greater_than_equal" | "less_than_equal" | "string_too_short":
            return document.problem(here, "E114", f"{_quote(value)}: {error['msg'].lower()}")
    if kind in _TYPES:
        return document.problem(here, "E102", _type_message(_TYPES[kind], value, document.source(here)))
    code = kind if re.fullmatch(r"E\d{3}", kind) else "E102"
    return document.problem(here, code, str(error["msg"]))


def _quote(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _not_one_of(value: object, choices: list[str]) -> str:
    return f"{_quote(value)} is none of {', '.join(choices)}"


def _mode_message(value: object, source: str, message: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        octal = source if re.fullmatch(r"0?[0-7]{3,4}", source) else f"{value:04o}"
        octal = octal if octal.startswith("0") else f"0{octal}"
        return f'{message}: unquoted {source} is the YAML integer {value}; write "{octal}"'
    return f"{message}, not {_quote(value)}"


def _type_message(wanted: str, value: object, source: str) -> str:
    match value:
        case None:
            found = "nothing"
        case bool():
            found = f"{source} (YAML reads it as {str(value).lower()})"
        case int() | float():
            found = f"the number {source}"
        case str():
            found = f"the text {_quote(value)}"
        case list():
            found = "a list"
        case _:
            found = "a mapping"
    quotes = "; put it in quotes" if wanted == "text" and isinstance(value, bool | int | float) else ""
    return f"{wanted} is wanted, not {found}{quotes}"


# --- names ----------------------------------------------------------------------------------------------------------


class _Names:
    """What fits the shape and still makes no sense. Data of the wrong shape is passed over: it is reported already."""

    def __init__(self, document: Document, data: dict[str, Any], short: frozenset[int]) -> None:
        self.document = document
        self.data = data
        self.short = short
        self.problems: list[Problem] = []
        given = data.get("given")
        self.given: dict[str, Any] = given if isinstance(given, dict) else {}
        containers = self.given.get("containers")
        self.containers = {"root", *(containers if isinstance(containers, dict) else ())}
        volumes = self.given.get("volumes")
        self.volumes: set[str] = set(volumes) if isinstance(volumes, dict) else set()
        self.has_volume = "volume" in self.given
        self.has_cluster = "cluster" in self.given or "manifests" in self.given

    def report(self, path: Path, code: str, message: str, *, hint: str = "", key: bool = False) -> None:
        self.problems.append(self.document.problem(as_written(path, self.short), code, message, hint=hint, key=key))

    def run(self) -> None:
        self._cause()
        self._pairs()
        self._objects()
        self._origin()
        versions = self.data.get("versions")
        if isinstance(versions, dict):
            self._version_range(versions.get("ossfs"), ("versions", "ossfs"))
            releases = versions.get("csi")
            for index, release in enumerate(releases if isinstance(releases, list) else ()):
                self._release(release, ("versions", "csi", index), "csi")
        cluster = self.given.get("cluster")
        for key in ("csi", "kubernetes"):
            if isinstance(cluster, dict) and key in cluster:
                self._release(cluster[key], ("given", "cluster", key), key)
        for path, volume in self._given_volumes():
            self._version(volume.get("version"), (*path, "version"))
        opened = self._steps(("when",), set())
        self._steps(("remedy",), then := set(opened))
        self._steps(("resolved",), then)
        for path in self._branches("remedies"):
            handles = set(opened)
            self._steps((*path, "do"), handles)
            self._steps((*path, "resolved"), handles)
        for path in self._branches("control"):
            handles = set(opened)
            self._steps((*path, "do"), handles)
            self._steps((*path, "then"), handles)

    def _branches(self, key: str) -> Iterator[Path]:
        entries = self.data.get(key)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                yield (key, index)

    def _given_volumes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        if isinstance(volume := self.given.get("volume"), dict):
            yield ("given", "volume"), volume
        volumes = self.given.get("volumes")
        for name, volume in (volumes if isinstance(volumes, dict) else {}).items():
            if isinstance(volume, dict):
                yield ("given", "volumes", name), volume

    def _cause(self) -> None:
        where = "cause" if "cause" in self.data else "scenario"
        cause = self.data.get(where)
        if isinstance(cause, str) and (where == "cause" or self.data.get("faq")) and cause not in causes():
            self.report((where,), "E105", f'unknown cause id "{cause}"', hint=nearest(cause, causes()))

    def _pairs(self) -> None:
        has = self.data.__contains__
        if has("remedy") != has("resolved"):
            present, absent = ("remedy", "resolved") if has("remedy") else ("resolved", "remedy")
            self.report((present,), "E116", f'"{present}" needs "{absent}"', key=True)
        if has("remedies") and (has("remedy") or has("resolved")):
            self.report(("remedies",), "E116", 'either "remedy" and "resolved", or "remedies"', key=True)
        if has("via") and not has("via_reason"):
            self.report(("via",), "E116", '"via" needs "via_reason": why the other way is impossible', key=True)
        if self.has_cluster and self.has_volume:
            text = 'beside a cluster a volume needs a name, for "in": write "volumes"'
            self.report(("given", "volume"), "E116", text, key=True)
        if self.has_volume and "volumes" in self.given:
            self.report(("given", "volumes"), "E116", 'either "volume" or "volumes"', key=True)

    def _objects(self) -> None:
        objects = self.given.get("objects")
        for index, entry in enumerate(objects if isinstance(objects, list) else ()):
            if not isinstance(entry, dict):
                continue
            path: Path = ("given", "objects", index)
            self._body_or_size(entry, path)
            if ("count" in entry) != ("{n}" in str(entry.get("key", ""))):
                self.report(path, "E116", '"count" and "{n}" in the key belong together')
            for name in ("mode", "uid", "gid"):
                if name in entry and entry.get("via", "sdk") != "ossfs":
                    self.report((*path, name), "E116", f'"{name}" is stored by ossfs only: add "via: ossfs"', key=True)

    def _origin(self) -> None:
        origin = self.given.get("origin")
        if isinstance(origin, dict):
            if ("s3" in origin) == ("url" in origin):
                self.report(("given", "origin"), "E116", 'either "s3" or "url"')
            s3 = origin.get("s3")
            objects = s3.get("objects") if isinstance(s3, dict) else None
            for index, entry in enumerate(objects if isinstance(objects, list) else ()):
                if isinstance(entry, dict):
                    self._body_or_size(entry, ("given", "origin", "s3", "objects", index))
        bucket = self.given.get("bucket")
        if isinstance(bucket, dict):
            self._mirror(bucket.get("mirror"), ("given", "bucket", "mirror"))

    def _mirror(self, mirror: object, path: Path) -> None:
        if isinstance(mirror, dict) and "url" not in mirror and "origin" not in self.given:
            self.report(path, "E116", '"mirror" needs a "url", or an "origin" under "given"')

    def _body_or_size(self, entry: dict[str, Any], path: Path) -> None:
        if "body" in entry and "size" in entry:
            self.report((*path, "size"), "E116", 'either "body" or "size"', key=True)

    def _version(self, version: object, path: Path) -> None:
        if isinstance(version, str) and version not in known_versions():
            hint = nearest(version, known_versions())
            self.report(path, "E106", f'unknown ossfs version "{version}"', hint=hint)

    def _release(self, release: object, path: Path, of: str) -> None:
        from osscluster.csi import profile as csi
        from osscluster.kubelet import profile as kubernetes

        if isinstance(release, str):
            try:
                (csi if of == "csi" else kubernetes).find(release)
            except (LookupError, ValueError) as error:
                self.report(path, "E106", str(error))

    def _version_range(self, text: object, path: Path) -> None:
        if not isinstance(text, str):
            return
        try:
            wanted = VersionRange.parse(text)
        except ValueError as error:
            self.report(path, "E106", str(error))
            return
        if not any(wanted.holds(version) for version in known_versions()):
            hint = nearest(wanted.exact, known_versions()) if wanted.exact else ""
            self.report(path, "E106", f'no known ossfs version is "{text}"', hint=hint)

    def _steps(self, path: Path, handles: set[str]) -> set[str]:
        """Checks the steps at `path`; adds to and returns the handles that are open afterwards."""
        value: Any = self.data
        for part in path:
            value = value.get(part) if isinstance(value, dict) else value[part]
        for index, step in enumerate(value if isinstance(value, list) else ()):
            if isinstance(step, dict):
                self._step(step, (*path, index), handles)
            else:
                self.report((*path, index), "E107", "a step is a mapping: {verb: value}")
        return handles

    def _step(self, step: dict[str, Any], path: Path, handles: set[str]) -> None:
        verbs = [key for key in step if key in model.STEP_MODELS]
        if not verbs:
            self._no_verb(step, path)
            return
        for extra in verbs[1:]:
            # "size", "mode" and the like never collide with a verb, so a second verb is a second step.
            self.report((*path, extra), "E107", f'two verbs in one step: "{verbs[0]}" and "{extra}"', key=True)
        verb = verbs[0]
        step_model = model.STEP_MODELS[verb]
        self._expectations(step, verb, path)
        if issubclass(step_model, model.FileStep):
            self._container(step.get("as"), (*path, "as"))
            self._handle(step.get(verb), (*path, verb), handles)
        if issubclass(step_model, model.ClusterStep) and not self.has_cluster:
            text = f'"{verb}" needs a cluster: add "manifests" or "cluster" to "given"'
            self.report((*path, verb), "E116", text, key=True)
        elsewhere = issubclass(step_model, model.ServerStep | model.ClusterStep) or verb == "advance"
        # An open file is where it was opened.
        elsewhere = elsewhere or (str(step.get(verb)).startswith("@") and "in" not in step)
        if not elsewhere and not self._of_pods(step):
            self._volume(step, path)
        if verb in ("write", "put", "origin_put"):
            self._body_or_size(step, path)
        if verb == "mirror":
            self._mirror(step.get("mirror"), (*path, "mirror"))
        origin = self.given.get("origin")
        if verb in ("origin_put", "origin_delete") and not (isinstance(origin, dict) and "s3" in origin):
            self.report((*path, verb), "E116", f'"{verb}" needs an "origin" with "s3" under "given"', key=True)
        if verb == "csi":
            self._release(step.get("csi"), (*path, "csi"), "csi")
        if verb == "write" and "body" not in step and "size" not in step:
            self.report(path, "E112", 'missing key "body" (or "size")')
        if verb in ("mount", "remount") and isinstance(change := step.get(verb), dict):
            self._version(change.get("version"), (*path, verb, "version"))
        if verb == "open" and isinstance(name := step.get("handle"), str) and not _expects_errno(step):
            handles.add(name)
        closed = step.get("close")
        if verb == "close" and isinstance(closed, str) and not closed.startswith("@"):
            self.report((*path, "close"), "E108", f'close takes a handle: "@{closed}"')

    def _of_pods(self, step: dict[str, Any]) -> bool:
        """Whether a step is that of a Pod: which ones there are, only the run can tell. Volumes beside a cluster are
        those of a machine outside of it."""
        return self.has_cluster and step.get("in") not in self.volumes

    def _no_verb(self, step: dict[str, Any], path: Path) -> None:
        arguments = {name for each in model.STEP_MODELS.values() for name in fields(each)}
        for key in step:
            if key not in arguments:
                hint = nearest(key, model.STEP_MODELS)
                self.report((*path, key), "E107", f'unknown verb "{key}"', hint=hint, key=True)
                return
        self.report(path, "E107", "a step needs a verb")

    def _expectations(self, step: dict[str, Any], verb: str, path: Path) -> None:
        expect = step.get("expect")
        if not isinstance(expect, dict):
            return
        known = set(fields(model.Expect))
        for key in expect:
            if key in known and key in CLUSTER_EXPECTATIONS and not self.has_cluster:
                text = f'"{key}" needs a cluster: add "manifests" or "cluster" to "given"'
                self.report((*path, "expect", key), "E116", text, key=True)
            elif key in known and key not in expectations(verb):
                self.report((*path, "expect", key), "E113", f'"{verb}" has no "{key}" to expect', key=True)
        holders = expect.get("holders")
        for index, holder in enumerate(holders if isinstance(holders, list) else ()):
            if isinstance(holder, dict):
                self._container(holder.get("as"), (*path, "expect", "holders", index, "as"))

    def _container(self, name: object, path: Path) -> None:
        if isinstance(name, str) and name not in self.containers and not self.has_cluster:
            self.report(path, "E109", f'unknown container "{name}"', hint=nearest(name, self.containers))

    def _handle(self, value: object, path: Path, handles: set[str]) -> None:
        if isinstance(value, str) and value.startswith("@") and value[1:] not in handles:
            hint = nearest(value[1:], handles)
            self.report(path, "E108", f'handle "{value}" was never opened', hint=f"@{hint}" if hint else "")

    def _volume(self, step: dict[str, Any], path: Path) -> None:
        name = step.get("in")
        if isinstance(name, str):
            if name not in self.volumes:
                hint = nearest(name, self.volumes)
                self.report((*path, "in"), "E117", f'unknown volume "{name}"', hint=hint)
        elif name is None and len(self.volumes) > 1:
            self.report(path, "E117", f'say in which volume: "in: {min(self.volumes)}"')
        elif name is None and not self.volumes and not self.has_volume:
            self.report(path, "E117", 'the step needs a volume: add "volume" to "given"')


def _expects_errno(step: dict[str, Any]) -> bool:
    expect = step.get("expect")
    return isinstance(expect, dict) and "errno" in expect
