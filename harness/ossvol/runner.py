"""Runs one scenario on one engine: the symptom, every remedy, every control.

`when` is replayed in a fresh environment for each remedy and each control, so nothing hides behind an earlier change;
the environment that has just shown the symptom, untouched since, serves the first of them. Used from one thread; each
process that runs scenarios has its own `Runner`.
"""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import subprocess
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from osscluster.errors import ClusterError, EnvironmentMissing
from ossvol.errors import UsageError
from ossvol.observation import compare, request_line
from ossvol.result import Failure, Phase, PhaseStatus, Result, Status
from ossvol.scenario.document import Path
from ossvol.scenario.vocabulary import VersionRange, known_versions

if TYPE_CHECKING:
    from osscloud.accesslog import LogRecord
    from ossfuse.profile import Fixed
    from ossvol.environment import Environment
    from ossvol.scenario import LoadedScenario
    from ossvol.scenario.model import StepModel

__all__ = ["RunOptions", "Runner", "version_of_binary"]

_REQUESTS_SHOWN = 20

Via = Literal["kernel", "direct"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """via: the engine. ossfs: path of a real binary, "" for the simulation. ossfs_version: release to simulate, "" for
    the one that each scenario asks for (of a real binary: what it says itself). fixed: without the defects of the
    simulated release, or some. csi: release of the driver, "" for the one that each scenario asks for."""

    via: Via
    ossfs: str = ""
    ossfs_version: str = ""
    fixed: Fixed = False
    csi: str = ""

    def arguments(self) -> list[str]:
        """As they are written on the command line."""
        words = ["--via", self.via]
        if self.ossfs:
            words += ["--ossfs", self.ossfs]
        elif self.ossfs_version:
            words += ["--ossfs-version", self.ossfs_version]
        if self.fixed is True:
            words.append("--fixed")
        elif self.fixed:
            words += [word for name in self.fixed for word in ("--without", name)]
        if self.csi:
            words += ["--csi", self.csi]
        return words


def version_of_binary(path: str, option: str = "--ossfs") -> str:
    """What `path --version` says it is ("1.91.10"). option: that named it. Raises UsageError when it is no ossfs."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{option} {path}: {error}") from error
    found = re.search(r"\bV?(\d+\.\d+\.\d+)", done.stdout)
    if found is None:
        told = (done.stdout or done.stderr).strip().partition("\n")[0][:80]
        raise UsageError(f"{option} {path}: it does not tell its version of ossfs, but {told!r}")
    return found[1]


@dataclass(frozen=True, slots=True)
class _Branch:
    """A remedy or a control: the change and the assertions after it, with their paths in the file."""

    phase: Phase
    title: str
    steps: tuple[tuple[Path, StepModel], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a failure happened. step: what was to be done, as text."""

    phase: Phase
    branch: str
    line: int
    step: str


@dataclass(slots=True)
class _Progress:
    """What one run of a scenario has found so far."""

    phases: dict[Phase, PhaseStatus] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Runner:
    """Close it, or use it as a context manager: nothing of a run stays behind."""

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self._binary_version = version_of_binary(options.ossfs) if options.ossfs else ""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the environment in use, if there is one. Safe to call twice."""
        self._open.close()

    def version_for(self, loaded: LoadedScenario) -> tuple[str, str]:
        """The release to run with and "", or "" and why the scenario cannot run."""
        from ossfuse.profile import DEFAULT_VERSION

        scenario = loaded.scenario
        if self._in_cluster(loaded):
            return self._version_in_cluster(loaded)
        ranged = scenario.versions.ossfs if scenario.versions else None
        wanted = VersionRange.parse(ranged) if ranged else None
        forced = self._binary_version or self.options.ossfs_version
        if forced:
            if wanted is not None and not wanted.holds(forced):
                return "", f"is about ossfs {wanted.text}, this is {forced}"
            return forced, ""
        if wanted is None:
            return DEFAULT_VERSION, ""
        chosen = wanted.choose(known_versions(), preferred=DEFAULT_VERSION)
        return (chosen, "") if chosen else ("", f"no simulated ossfs is {wanted.text}")

    @staticmethod
    def _in_cluster(loaded: LoadedScenario) -> bool:
        given = loaded.scenario.given
        return given.cluster is not None or given.manifests is not None

    def _csi(self, loaded: LoadedScenario) -> str:
        """The release of the driver that a scenario runs with, "" without a cluster."""
        from ossvol.scenario.model import ClusterGiven

        if not self._in_cluster(loaded):
            return ""
        given, versions = loaded.scenario.given, loaded.scenario.versions
        if self.options.csi:
            return self.options.csi
        if given.cluster is not None and "csi" in given.cluster.model_fields_set:
            return given.cluster.csi
        return versions.csi[0] if versions and versions.csi else ClusterGiven().csi

    def _version_in_cluster(self, loaded: LoadedScenario) -> tuple[str, str]:
        """The driver's release says which ossfs there is."""
        from osscluster.csi import profile as csi_profile

        csi, versions = self._csi(loaded), loaded.scenario.versions
        if self.options.csi and versions and versions.csi and csi not in versions.csi:
            return "", f"is about CSI {', '.join(versions.csi)}, this is {csi}"
        ships = csi_profile.find(csi).ossfs
        if self._binary_version and self._binary_version != ships:
            return "", f"CSI {csi} ships ossfs {ships}, the binary is {self._binary_version}"
        return ships, ""

    def run(self, loaded: LoadedScenario) -> Result:
        """Never raises for what the scenario does; a defect of the tool itself is `Result.error`."""
        scenario = loaded.scenario
        started = time.perf_counter()
        version, reason = self.version_for(loaded)
        if scenario.via is not None and self.options.via not in scenario.via:
            reason = f"runs via {' or '.join(scenario.via)} only: {scenario.via_reason}"
        progress = _Progress()
        error = ""
        if not reason:
            try:
                self._run(loaded, version, progress)
            except EnvironmentMissing as missing:
                reason = f"{missing.reason}: {missing.remedy}"
            except Exception:  # noqa: BLE001 - one broken scenario must not end a run of many; it is reported as such
                error = traceback.format_exc()
            finally:
                self.close()
        status = Status.SKIPPED if reason else Status.FAILED if progress.failures or error else Status.PASSED
        return Result(
            id=scenario.scenario,
            title=scenario.title.en,
            faq=scenario.faq or "",
            cause=scenario.cause_id,
            file=loaded.file,
            status=status,
            via=self.options.via,
            ossfs=version or self._binary_version or self.options.ossfs_version,
            csi=self._csi(loaded),
            seconds=time.perf_counter() - started,
            symptom=progress.phases.get(Phase.SYMPTOM),
            remedy=progress.phases.get(Phase.REMEDY),
            control=progress.phases.get(Phase.CONTROL),
            reason=reason or "; ".join(progress.notes),
            failures=tuple(progress.failures),
            error=error,
        )

    # --- one scenario ---

    def _run(self, loaded: LoadedScenario, version: str, progress: _Progress) -> None:
        branches = list(_branches(loaded))
        for branch in branches:
            progress.phases[branch.phase] = Status.SKIPPED
        env = self._environment(loaded, version)
        failure = self._replay(env, loaded, "")
        progress.phases[Phase.SYMPTOM] = Status.FAILED if failure else Status.PASSED
        if failure:
            progress.failures.append(failure)
            return
        fresh: Environment | None = env
        for branch in branches:
            if other := self._other_release(branch, version):
                progress.notes.append(f"{branch.phase} {branch.title or 'without title'}: needs {other}")
                continue
            failure = None
            try:
                if fresh is None:
                    fresh = self._environment(loaded, version)
                    failure = self._replay(fresh, loaded, branch.title)
                failure = failure or self._steps(fresh, loaded, branch.phase, branch.title, branch.steps)
            except EnvironmentMissing as missing:
                progress.notes.append(f"{branch.phase} {branch.title or 'without title'}: {missing.reason}")
                continue
            finally:
                fresh = None
            if failure:
                progress.failures.append(failure)
                progress.phases[branch.phase] = Status.FAILED
            elif progress.phases[branch.phase] is Status.SKIPPED:
                progress.phases[branch.phase] = Status.PASSED

    def _other_release(self, branch: _Branch, version: str) -> str:
        """The release that a branch mounts although a real binary of another one was given; "" when it can run."""
        from ossvol.scenario.model import MountStep, RemountStep

        if not self._binary_version:
            return ""
        for _, step in branch.steps:
            change = step.mount if isinstance(step, MountStep) else None
            change = step.remount if isinstance(step, RemountStep) else change
            if change is not None and change.version not in (None, version):
                return f"ossfs {change.version}"
            if change is not None and change.fixed:
                return "the simulated ossfs, without its defects"
        return ""

    def _environment(self, loaded: LoadedScenario, version: str) -> Environment:
        from osscluster.engine import make_engine
        from ossvol.environment import Environment

        self.close()
        engine = make_engine(self.options.via, ossfs=self.options.ossfs or None)
        self._open.callback(engine.close)
        environment = Environment(
            engine,
            loaded.scenario.given,
            version,
            fixed=self.options.fixed,
            csi=self._csi(loaded),
            directory=pathlib.Path(loaded.file).parent,
        )
        self._open.callback(environment.close)
        return environment

    def _replay(self, env: Environment, loaded: LoadedScenario, branch: str) -> Failure | None:
        """The implicit mount and `when`."""
        from ossvol.scenario.model import MountStep

        when = loaded.scenario.when
        if not isinstance(when[0], MountStep):
            from osscluster.api.objects import ApiError
            from osscluster.volume import MountFailed

            log = env.cloud.access_log
            mark = log.mark()
            try:
                env.mount_all()
            except EnvironmentMissing:
                raise
            except ApiError as refusal:
                place = _Place(Phase.SYMPTOM, branch, loaded.line(("given", "manifests")), "apply")
                return self._failure(loaded, place, expected="the manifests are applied", seen=str(refusal))
            except (MountFailed, ClusterError) as error:
                seen = (
                    f"exit code {error.returncode}: {error.message}" if isinstance(error, MountFailed) else str(error)
                )
                place = _Place(Phase.SYMPTOM, branch, loaded.line(("given", "volume")), "mount")
                requests = _request_lines(log.since(mark))
                return self._failure(loaded, place, expected="it is mounted", seen=seen, requests=requests)
        steps = tuple((("when", index), step) for index, step in enumerate(when))
        return self._steps(env, loaded, Phase.SYMPTOM, branch, steps)

    def _steps(
        self,
        env: Environment,
        loaded: LoadedScenario,
        phase: Phase,
        branch: str,
        steps: Sequence[tuple[Path, StepModel]],
    ) -> Failure | None:
        """The first step that does not show what it should, or None."""
        from ossvol.actions import observe
        from ossvol.errors import StepImpossible

        for path, step in steps:
            place = _Place(phase, branch, loaded.line(path), step_text(step))
            try:
                seen = observe(env, step)
            except EnvironmentMissing:
                raise
            except (StepImpossible, ClusterError) as error:
                return self._failure(loaded, place, expected="the step can be made", seen=str(error))
            if mismatches := compare(step.expect, seen):
                return self._failure(
                    loaded,
                    place,
                    expected=", ".join(mismatch.expected for mismatch in mismatches),
                    seen=", ".join(mismatch.seen for mismatch in mismatches),
                    requests=_request_lines(seen.records),
                )
        return None

    def _failure(
        self, loaded: LoadedScenario, place: _Place, *, expected: str, seen: str, requests: Sequence[str] = ()
    ) -> Failure:
        reproduce = shlex.join(["ossvol", "run", loaded.file, *self.options.arguments()])
        return Failure(
            loaded.file, place.line, place.phase, place.branch, place.step, expected, seen, tuple(requests), reproduce
        )


def _request_lines(records: Sequence[LogRecord]) -> list[str]:
    lines = [request_line(record) for record in records[:_REQUESTS_SHOWN]]
    if len(records) > _REQUESTS_SHOWN:
        lines.append(f"... and {len(records) - _REQUESTS_SHOWN} more")
    return lines


def _branches(loaded: LoadedScenario) -> Iterator[_Branch]:
    scenario = loaded.scenario
    short = scenario.remedy is not None
    for index, remedy in enumerate(scenario.alternatives):
        base: Path = () if short else ("remedies", index)
        lists = (("remedy" if short else "do", remedy.do), ("resolved", remedy.resolved))
        yield _Branch(Phase.REMEDY, remedy.title or "", _paths(base, lists))
    for index, control in enumerate(scenario.control):
        lists = (("do", control.do), ("then", control.then))
        yield _Branch(Phase.CONTROL, control.title or "", _paths(("control", index), lists))


def _paths(base: Path, lists: Sequence[tuple[str, Sequence[StepModel]]]) -> tuple[tuple[Path, StepModel], ...]:
    return tuple(((*base, name, index), step) for name, steps in lists for index, step in enumerate(steps))


def step_text(step: StepModel) -> str:
    """A step as one line of YAML, the verb first, without its expectations."""
    data = step.model_dump(by_alias=True, exclude_unset=True, exclude={"expect", "note"})
    return _flow({step.verb: data.pop(step.verb), **data})


def _flow(value: object) -> str:
    match value:
        case None:
            return ""
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(entry)}".rstrip() for key, entry in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(entry) for entry in value) + "]"
        case str() if re.fullmatch(r"[A-Za-z][\w./ -]*", value):
            return value
        case float():
            return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)
