"""Our S3-compatible face against moto's S3: the same random calls by boto3, and each difference one that is listed.

What differs, and why ours answers as it does, is `s3_differences.yaml`. `S3Comparison` does steps on both, `S3Machine`
chooses them, `run_s3` runs it. moto is a process of its own, ours serves from threads of this one; one thread, the
runner's, for everything else.
"""

from __future__ import annotations

import importlib.util
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import yaml
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from osscluster.errors import EnvironmentMissing
from osscluster.leftovers import Run
from ossvol.fuzz.plan import MOTO, Plan, Tally
from ossvol.fuzz.running import Failure, FuzzResult, broken_by, settings_for
from ossvol.fuzz.s3_side import Observation, S3Side, Step
from ossvol.fuzz.shrinking import fewer
from ossvol.fuzz.violation import Violation, violation

__all__ = ["FILE", "S3Comparison", "S3Difference", "S3Machine", "S3Servers", "load_differences", "run_s3"]

FILE = Path(__file__).with_name("s3_differences.yaml")
_KEY_ID, _SECRET = "LTAI5tOssvolFuzz", "a-secret"
_LOOKS = frozenset(("get", "head", "tags", "objects", "page", "versions", "list_parts", "list_uploads"))


@dataclass(frozen=True, slots=True)
class S3Difference:
    """One listed difference. steps: first words of the steps it belongs to, "state" for the listing of all versions
    after any step, "*" for ETags anywhere; field: of what is answered, "outcome" is status and error code; ours,
    theirs: regular expressions for the whole `repr`, in which labels have no numbers. when: only in this state of
    versioning ("never", "Enabled", "Suspended"). ends: the buckets hold different things from here on. example: steps
    that bring it about."""

    id: str
    steps: tuple[str, ...]
    field: str
    ours: str
    theirs: str
    reason: str
    example: tuple[Step, ...]
    when: str = ""
    ends: bool = False


@cache
def load_differences(file: Path = FILE) -> tuple[S3Difference, ...]:
    """Every entry, in the order of the file. Raises TypeError for one that is not well-formed."""
    return tuple(
        S3Difference(**{**entry, "steps": tuple(entry["steps"]), "example": tuple(map(tuple, entry["example"]))})
        for entry in yaml.safe_load(file.read_text("utf-8"))["differences"]
    )


class S3Servers:
    """Both servers, with a client each. Close it, or use it as a context manager. Raises EnvironmentMissing."""

    def __init__(self) -> None:
        for name in ("moto", "werkzeug", "boto3"):
            if importlib.util.find_spec(name) is None:
                raise EnvironmentMissing(f"--against moto needs {name}, which is not installed", _REMEDY)
        from osscloud.clock import WallClock
        from osscloud.http_server import HttpServer
        from osscloud.service import OssService, ServiceConfig
        from ossvol.origin import MotoServer

        self._moto = MotoServer.shared(Run.current())
        self._moto.reset()
        service = OssService(clock=WallClock(), rng=random.Random(1), config=ServiceConfig(max_buckets=1_000_000))
        service.accounts.create_key(id=_KEY_ID, secret=_SECRET)
        self._server = HttpServer(service)
        self._server.start()
        missing = "CAEQ" + "0" * 12 + "A" * 44
        self.ours = S3Side(self._server.endpoint, _KEY_ID, _SECRET, missing_id=missing)
        missing = "00000000-0000-4000-8000-000000000000"
        self.theirs = S3Side(self._moto.endpoint, _KEY_ID, _SECRET, missing_id=missing)

    def __enter__(self) -> S3Servers:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """moto's process stays for the next one; it ends with the run."""
        self.ours.close()
        self.theirs.close()
        self._server.stop()


_REMEDY = "pip install 'ossvol[mirror]'"


class S3Comparison:
    """Steps on both sides, each in a new bucket. used: how often each listed difference was met. over: the buckets are
    not the same any more, for a listed reason: nothing is done from then on."""

    def __init__(self, servers: S3Servers, known: Sequence[S3Difference] | None = None) -> None:
        self.ours, self.theirs = servers.ours, servers.theirs
        self.known = load_differences() if known is None else known
        self.used: Counter[str] = Counter()
        self.over = False
        self.status = "never"
        self.trace: list[Step] = []
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        for side in (self.ours, self.theirs):
            side.begin()

    def run(self, step: Step) -> None:
        """One step, then the state of both buckets. Raises Violation."""
        if self.over:
            return
        self.trace.append(step)
        if step[0] == "versioning":
            self.status = str(step[1])
        try:
            ours = self.ours.run(step)
            self.outcomes[step[0], "", _outcome(ours)] += 1
            self._compare(step[0], step, ours, self.theirs.run(step))
            if step[0] not in _LOOKS and not self.over:
                self._compare("state", step, self.ours.look(("versions",)), self.theirs.look(("versions",)))
        except Violation as broken:
            broken.steps = [_told(one) for one in self.trace]
            raise

    def _compare(self, kind: str, step: Step, ours: Observation, theirs: Observation) -> None:
        outcomes = _outcome(ours), _outcome(theirs)
        if outcomes[0] != outcomes[1]:
            self._explain(kind, step, "outcome", *outcomes)
            return
        for field in sorted((ours.keys() | theirs.keys()) - {"status", "code"}):
            mine, other = self._plain(ours.get(field)), self._plain(theirs.get(field))
            if isinstance(mine, list) and isinstance(other, list):
                if mine == other:
                    continue
                left = [entry for entry in mine if entry not in other]
                right = [entry for entry in other if entry not in mine]
                # Neither: the same entries in another order, or one of them twice.
                self._explain(kind, step, field, *((left, right) if left or right else (mine, other)))
            elif mine != other:
                self._explain(kind, step, field, mine, other)

    def _explain(self, kind: str, step: Step, field: str, ours: object, theirs: object) -> None:
        said = tuple(re.sub(r"#\d+", "", repr(value)) for value in (ours, theirs))
        for known in self.known:
            if (
                kind in known.steps
                and known.when in ("", self.status)
                and known.field == field
                and re.fullmatch(known.ours, said[0])
                and re.fullmatch(known.theirs, said[1])
            ):
                self.used[known.id] += 1
                self.over |= known.ends
                return
        after = " after" if kind == "state" else ""
        place = f"{kind}{after} {_words(step)} (versioning {self.status}): {field}"
        raise violation("sides-agree", f"{place}\n  ours:   {said[0]}\n  theirs: {said[1]}")

    def _plain(self, value: object) -> object:
        """ETags without what is listed as different in all of them."""
        if isinstance(value, list | tuple):
            return type(value)(map(self._plain, value))
        if isinstance(value, str):
            for known in self.known:
                if known.steps == ("*",) and re.fullmatch(known.ours, value):
                    self.used[known.id] += 1
                if known.steps == ("*",) and (re.fullmatch(known.ours, value) or re.fullmatch(known.theirs, value)):
                    return value.lower() if "-" not in value else "multipart"
        return value


def _outcome(seen: Observation) -> str:
    return f"{seen['status']} {seen.get('code', '')}"


def _words(step: Step) -> str:
    return " ".join(map(str, step))


def _told(step: Step) -> dict[str, Any]:
    return {step[0]: list(step[1:])}


_KEYS = st.sampled_from(("a", "a/", "a/b", "b", "c/d/e", "é+ %"))
_BODIES = st.sampled_from(("", "x", "yy", "zzz", "0123456789"))
_PREFIXES = st.sampled_from(("", "a", "a/", "c"))
_DELIMITERS = st.sampled_from(("", "/"))
_SIZES = st.sampled_from((1, 2, 3, 1000))
_RANGES = st.sampled_from(("bytes=0-0", "bytes=1-", "bytes=-2", "bytes=2-1", "bytes=100-", "bytes=0-99", "bytes=-0"))
_HEADERS: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    (
        {},
        {},
        {"ContentType": "text/css"},
        {"CacheControl": "no-cache", "ContentDisposition": "attachment"},
        {"ContentEncoding": "gzip", "ContentLanguage": "zh"},
        {"Tagging": "t=v&u=w"},
    )
)
_CONDITIONS = st.sampled_from(
    tuple(
        f"{name} {value}"
        for name, values in (
            ("IfMatch", ("right", "wrong")),
            ("IfNoneMatch", ("right", "wrong")),
            ("IfModifiedSince", ("past", "future")),
            ("IfUnmodifiedSince", ("past", "future")),
        )
        for value in values
    )
)
_COPIES: st.SearchStrategy[dict[str, str]] = st.sampled_from(
    (
        {"MetadataDirective": "COPY"},
        {"MetadataDirective": "REPLACE", "ContentType": "text/css"},
        {"TaggingDirective": "REPLACE", "Tagging": "t=new"},
        {"CopySourceIfMatch": '"' + "A" * 32 + '"'},
        {"CopySourceIfNoneMatch": '"' + "A" * 32 + '"'},
    )
)
_NUMBERS = st.sampled_from((1, 2, 3, 10_000))


class S3Machine(RuleBasedStateMachine):
    """What programs ask of an S3 server. servers, tally: set by `run_s3`."""

    servers: ClassVar[S3Servers]
    tally: ClassVar[Tally]
    comparison: S3Comparison

    @initialize()
    def begin(self) -> None:
        self.comparison = S3Comparison(self.servers)

    def teardown(self) -> None:
        comparison = getattr(self, "comparison", None)
        if comparison is not None:
            _add(self.tally, comparison)

    def run(self, *step: Any) -> None:
        self.comparison.run(step)

    def _label(self, data: st.DataObject) -> str:
        ours, theirs = self.comparison.ours, self.comparison.theirs
        known = sorted(set(ours.labels.values()) & set(theirs.labels.values()))
        return data.draw(st.sampled_from((*known, *known, "null", "none")))

    def _upload(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from((*self.comparison.ours.uploads, "none")))

    # --- objects ---

    @rule(key=_KEYS, body=_BODIES, more=_HEADERS)
    def put(self, key: str, body: str, more: dict[str, str]) -> None:
        self.run("put", key, body, more)

    @rule(key=_KEYS, body=_BODIES)
    def put_again(self, key: str, body: str) -> None:
        self.run("put", key, body)

    @rule(source=_KEYS, key=_KEYS)
    def copy(self, source: str, key: str) -> None:
        self.run("copy", source, key)

    @rule(source=_KEYS, key=_KEYS, more=_COPIES)
    def copy_with(self, source: str, key: str, more: dict[str, str]) -> None:
        self.run("copy", source, key, "", more)

    @rule(source=_KEYS, key=_KEYS, data=st.data())
    def copy_version(self, source: str, key: str, data: st.DataObject) -> None:
        self.run("copy", source, key, self._label(data))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Mostly of what is there: deleting anything else may end the comparison."""
        there = [key for key, *_ in self.comparison.ours.look(("versions",))["versions"]]
        self.run("delete", data.draw(st.sampled_from((*there, *there, *there, "b"))))

    @rule(key=_KEYS, data=st.data())
    def delete_version(self, key: str, data: st.DataObject) -> None:
        self.run("delete", key, self._label(data))

    @rule(wanted=st.lists(_KEYS, min_size=1, max_size=3, unique=True), data=st.data())
    def delete_many(self, wanted: list[str], data: st.DataObject) -> None:
        self.run("delete_many", *([key, self._label(data)] for key in wanted))

    @rule(key=_KEYS, kind=st.sampled_from(("get", "head", "tags")))
    def read(self, key: str, kind: str) -> None:
        self.run(kind, key)

    @rule(key=_KEYS, kind=st.sampled_from(("get", "head", "tags")), data=st.data())
    def read_version(self, key: str, kind: str, data: st.DataObject) -> None:
        self.run(kind, key, self._label(data))

    @rule(key=_KEYS, wanted=_RANGES)
    def read_range(self, key: str, wanted: str) -> None:
        self.run("get", key, "", wanted)

    @rule(key=_KEYS, condition=_CONDITIONS)
    def read_if(self, key: str, condition: str) -> None:
        self.run("get", key, "", "", condition)

    @rule(key=_KEYS, condition=_CONDITIONS)
    def head_if(self, key: str, condition: str) -> None:
        self.run("head", key, "", condition)

    @rule(key=_KEYS, kind=st.sampled_from(("tag", "untag")), data=st.data())
    def tag(self, key: str, kind: str, data: st.DataObject) -> None:
        label = data.draw(st.sampled_from(("", self._label(data))))
        self.run(*(("tag", key, "v", label) if kind == "tag" else ("untag", key, label)))

    # --- uploads in parts ---

    @rule(key=_KEYS)
    def parts(self, key: str) -> None:
        self.run("parts", key, "ppp")

    @rule(key=_KEYS, more=_HEADERS)
    def begin_upload(self, key: str, more: dict[str, str]) -> None:
        self.run("begin_upload", key, more)

    @rule(number=_NUMBERS, body=_BODIES, data=st.data())
    def upload_part(self, number: int, body: str, data: st.DataObject) -> None:
        self.run("upload_part", self._upload(data), number, body)

    @rule(number=_NUMBERS, source=_KEYS, wanted=st.sampled_from(("", "", "bytes=0-0", "bytes=5-9")), data=st.data())
    def copy_part(self, number: int, source: str, wanted: str, data: st.DataObject) -> None:
        self.run("copy_part", self._upload(data), number, source, wanted)

    @rule(data=st.data())
    def list_parts(self, data: st.DataObject) -> None:
        self.run("list_parts", self._upload(data))

    @rule(prefix=_PREFIXES)
    def list_uploads(self, prefix: str) -> None:
        self.run("list_uploads", prefix)

    @rule(numbers=st.lists(_NUMBERS, min_size=1, max_size=2), wrong=st.booleans(), data=st.data())
    def complete(self, numbers: list[int], wrong: bool, data: st.DataObject) -> None:
        self.run("complete", self._upload(data), numbers, '"' + "c" * 32 + '"' if wrong else "")

    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        self.run("abort", self._upload(data))

    # --- buckets and listings ---

    @rule(status=st.sampled_from(("Enabled", "Enabled", "Suspended")))
    def versioning(self, status: str) -> None:
        self.run("versioning", status)

    @rule(version=st.sampled_from((1, 2)), prefix=_PREFIXES, delimiter=_DELIMITERS, size=_SIZES)
    def objects(self, version: int, prefix: str, delimiter: str, size: int) -> None:
        self.run("objects", version, prefix, delimiter, size)

    @rule(
        version=st.sampled_from((1, 2)),
        after=st.sampled_from(("", "a", "a/", "a/b", "c/d", "zz")),
        prefix=_PREFIXES,
        delimiter=_DELIMITERS,
        size=_SIZES,
    )
    def page(self, version: int, after: str, prefix: str, delimiter: str, size: int) -> None:
        self.run("page", version, after, prefix, delimiter, size)

    @rule(prefix=_PREFIXES, delimiter=_DELIMITERS, size=_SIZES)
    def versions(self, prefix: str, delimiter: str, size: int) -> None:
        self.run("versions", prefix, delimiter, size)

    @rule(what=st.sampled_from(("head", "delete", "versioning", "list")))
    def other_bucket(self, what: str) -> None:
        self.run("bucket", what, "no-such-bucket")

    @rule(what=st.sampled_from(("head", "versioning")))
    def bucket(self, what: str) -> None:
        self.run("bucket", what)


def _add(tally: Tally, comparison: S3Comparison) -> None:
    """An example is over."""
    tally.examples += 1
    tally.steps += len(comparison.trace)
    tally.judged += len(comparison.trace)
    tally.verbs += Counter(step[0] for step in comparison.trace)
    tally.cells += comparison.outcomes
    tally.explained += comparison.used
    if tally.told is not None:
        tally.told(tally)


def run_s3(
    seed: int = 0,
    *,
    steps: int = 40,
    examples: int = 60,
    database: ExampleDatabase | None = None,
    servers: S3Servers | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> FuzzResult:
    """As `ossvol.fuzz.run`, with calls of S3 as steps: {"put": ["a", "x"]}. Raises EnvironmentMissing."""
    result = FuzzResult(Plan(against=MOTO, fixed=False), seed)
    started = time.perf_counter()
    if progress is not None:
        result.tally.told = lambda tally: progress(tally.examples, tally.steps, time.perf_counter() - started)
    mine = servers or S3Servers()
    made: type[S3Machine] = type("S3Machine", (S3Machine,), {"servers": mine, "tally": result.tally})
    hypothesis.seed(seed)(made)
    try:
        broken = broken_by(made, settings_for(steps=steps, examples=examples, database=database))
        if broken is not None:
            trace = [(name, *words) for told in broken.steps for name, words in told.items()]
            broken = broken if broken.once else _smallest(mine, trace, result.tally) or broken
            shown = tuple(dict(step) for step in broken.steps)
            result.failures.append(Failure(broken.property, broken.text, seed, {}, shown, replays=False))
    finally:
        result.seconds = time.perf_counter() - started
        if servers is None:
            mine.close()
    return result


def _smallest(servers: S3Servers, trace: Sequence[Step], tally: Tally) -> Violation | None:
    """What the fewest steps show; None when these ones show nothing any more."""
    best: Violation | None = None

    def breaks(steps: Sequence[Step]) -> bool:
        nonlocal best
        comparison = S3Comparison(servers)
        try:
            for step in steps:
                comparison.run(step)
        except Violation as found:
            best = found
            return True
        finally:
            tally.steps += len(comparison.trace)
        return False

    if breaks(trace):
        fewer(trace, breaks)
    return best
