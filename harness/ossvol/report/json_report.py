"""Results as the JSON object of `ossvol run --json`; its form is stable.

Pure; any thread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ossvol.result import Failure, Phase, Result, Summary

__all__ = ["render"]


def render(results: Sequence[Result], summary: Summary) -> str:
    """One line: {"version": 1, "summary": {...}, "results": [...]}."""
    return json.dumps(
        {
            "version": 1,
            "summary": {
                "passed": summary.passed,
                "failed": summary.failed,
                "skipped": summary.skipped,
                "seconds": round(summary.seconds, 3),
            },
            "results": [_result(result) for result in results],
        },
        ensure_ascii=False,
    )


def _result(result: Result) -> dict[str, object]:
    return {
        "id": result.id,
        "status": str(result.status),
        "via": result.via,
        "ossfs": result.ossfs,
        "csi": result.csi or None,
        "file": result.file,
        "seconds": round(result.seconds, 3),
        "phases": {str(phase): _status(result, phase) for phase in Phase},
        "reason": result.reason or result.error or None,
        "failure": _failure(result.failures[0]) if result.failures else None,
    }


def _status(result: Result, phase: Phase) -> str | None:
    status = result.phase(phase)
    return None if status is None else str(status)


def _failure(failure: Failure) -> dict[str, object]:
    return {
        "file": failure.file,
        "line": failure.line,
        "step": failure.step,
        "expected": failure.expected,
        "seen": failure.seen,
        "requests": list(failure.requests),
    }
