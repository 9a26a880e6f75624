"""`ossvol run`: from the words of the command line to an exit code.

Called from the main thread: signals are handled here.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from ossfuse.profile import Fixed
from ossvol.errors import UsageError
from ossvol.exit_codes import ExitCode
from ossvol.result import Result, Status, Summary

__all__ = ["choose_via", "run"]

Via = Literal["kernel", "direct"]


def choose_via(wanted: Via | None, *, ossfs: str = "") -> Via:
    """The engine to use: what was asked for, otherwise kernel where it works and direct, with a notice, where not.

    Raises EnvironmentMissing when kernel was asked for (a real binary asks for it too) and is impossible, UsageError
    for a real binary via direct."""
    from osscluster.engine import kernel_unavailable

    if wanted == "direct":
        if ossfs:
            raise UsageError("--ossfs runs a real binary, which needs a real mount: use --via kernel")
        return "direct"
    missing = kernel_unavailable()
    if missing is None:
        return "kernel"
    if wanted == "kernel" or ossfs:
        raise missing
    print(
        f"ossvol: no kernel mounts here: {missing.reason}; fix: {missing.remedy}. Running via direct.", file=sys.stderr
    )
    return "direct"


def run(
    names: Sequence[str],
    *,
    via: Via | None,
    ossfs: str,
    ossfs_version: str,
    fixed: Fixed,
    csi: str,
    workers: int,
    junit: Path | None,
    json: bool,
    shard: str,
) -> int:
    """Runs scenarios and reports. Raises ScenarioErrors, UsageError, EnvironmentMissing before anything has run."""
    from ossvol import discovery

    options_version = _known_version(ossfs_version, ossfs)
    if fixed and ossfs:
        raise UsageError("--fixed and --without leave out defects of the simulated ossfs; a real binary has its own")
    if not isinstance(fixed, bool):
        _need_defects(fixed)
    if junit is not None and not junit.parent.is_dir():
        raise UsageError(f"--junit {junit}: there is no directory {junit.parent}")
    if ossfs and not os.access(ossfs, os.X_OK):
        raise UsageError(f"--ossfs {ossfs}: not an executable file")
    scenarios = discovery.select(names)
    if shard:
        scenarios = discovery.shard(scenarios, shard)
    if via != "direct":
        _enter_user_namespace()
    chosen = choose_via(via, ossfs=ossfs)

    from ossvol.pool import run_scenarios
    from ossvol.report.terminal import ProgressBar, print_results
    from ossvol.runner import RunOptions

    options = RunOptions(chosen, str(Path(ossfs).resolve()) if ossfs else "", options_version, fixed, known_csi(csi))
    order = {one.id: index for index, one in enumerate(scenarios)}
    results: list[Result] = []
    interrupted = 0
    started = time.perf_counter()
    with _terminations_raise() as received, ProgressBar(len(scenarios), wanted=not json) as bar:
        try:
            for result in run_scenarios(scenarios, options, workers=workers, on_start=bar.running):
                results.append(result)
                bar.done()
        except KeyboardInterrupt:
            interrupted = 128 + (received[0] if received else signal.SIGINT)
    results.sort(key=lambda result: order[result.id])
    summary = Summary.of(results, time.perf_counter() - started)
    if junit is not None:
        from ossvol.report import junit as junit_report

        junit_report.write(junit, results, summary)
    if json:
        from ossvol.report import json_report

        print(json_report.render(results, summary))
    else:
        print_results(results, summary)
    if interrupted:
        left = len(scenarios) - len(results)
        print(f"ossvol: interrupted; {left} of {len(scenarios)} scenarios did not run", file=sys.stderr)
        return interrupted
    return _exit_code(results)


def _enter_user_namespace() -> None:
    """An ordinary user has no other uids and no bind mounts: where the kernel allows it, this command starts again as
    root of a user namespace."""
    if os.geteuid() == 0 or sys.platform != "linux" or threading.active_count() > 1:
        return
    from osscluster import usernamespace

    found = usernamespace.possible()
    if found.missing is None:
        sys.stdout.flush()
        usernamespace.reexecute(found.ids)


def _exit_code(results: Sequence[Result]) -> ExitCode:
    if any(result.failures for result in results):
        return ExitCode.FAILURES
    if any(result.error for result in results):
        return ExitCode.INTERNAL
    if all(result.status is Status.SKIPPED for result in results):
        return ExitCode.NOTHING_RAN
    return ExitCode.OK


def known_csi(version: str) -> str:
    """The release, if it is modelled. Raises UsageError."""
    if version:
        from osscluster.csi import profile

        try:
            profile.find(version)
        except ValueError as error:
            raise UsageError(f"--csi: {error}") from error
    return version


def _known_version(version: str, ossfs: str) -> str:
    if not version:
        return ""
    from ossvol.scenario.lint import nearest
    from ossvol.scenario.vocabulary import known_versions

    if ossfs:
        raise UsageError("--ossfs-version picks a simulated release; a real binary has its own")
    if version in known_versions():
        return version
    hint = nearest(version, known_versions())
    raise UsageError(
        f'--ossfs-version: unknown version "{version}"'
        + (f'; did you mean "{hint}"?' if hint else f"; known are {', '.join(known_versions())}")
    )


def _need_defects(names: Sequence[str]) -> None:
    """Raises UsageError for what is no defect."""
    from ossfuse.profile import DEFECTS
    from ossvol.scenario.lint import nearest

    known = [defect.name for defect in DEFECTS]
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            told = f'did you mean "{hint}"?' if hint else f"known are {', '.join(known)}"
            raise UsageError(f'--without: unknown defect "{name}"; {told}')


@contextmanager
def _terminations_raise() -> Iterator[list[int]]:
    """SIGTERM ends the run as Ctrl-C does: mounts are taken down, what was completed is printed."""
    received: list[int] = []

    def interrupt(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
