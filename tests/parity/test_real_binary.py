"""A short parity run against the binary that --ossvol-ossfs names. `ossvol parity --ossfs PATH` is the full one."""

from __future__ import annotations

import pytest

from ossvol.parity.command import Report, compare_binary


@pytest.fixture
def ossfs(request: pytest.FixtureRequest) -> str:
    path = str(request.config.getoption("ossvol_ossfs") or "")
    if not path:
        pytest.skip("no real ossfs was given; build one from the public repository aliyun/ossfs: --ossvol-ossfs PATH")
    return path


def _failures(report: Report) -> str:
    return "\n\n".join(finding.text() for finding in report.findings)


@pytest.mark.kernel
def test_random_sequences_are_told_apart_by_nothing_unexplained(ossfs: str) -> None:
    report = compare_binary(ossfs=ossfs, sequences=60, only=["sequences"])
    assert report.requests > 500
    assert not report.findings, _failures(report)


@pytest.mark.kernel
def test_the_permissions_matrix_is_that_of_the_binary(ossfs: str) -> None:
    report = compare_binary(ossfs=ossfs, only=["permissions"])
    assert not report.findings, _failures(report)


@pytest.mark.kernel
def test_the_mount_scenarios_show_the_same_on_both(ossfs: str) -> None:
    report = compare_binary(ossfs=ossfs, only=["scenarios"], scenarios=["permission"])
    assert report.scenarios
    assert not report.findings, _failures(report)
