"""The ledger: every cause has scenarios that were proven as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossvol.config import own_scenarios
from ossvol.discovery import find_files
from ossvol.ledger import Proof, complaints, digest, page, proofs, record
from ossvol.scenario import LoadedScenario, load_all

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scenarios() -> list[LoadedScenario]:
    return load_all(find_files(own_scenarios()))


def test_every_cause_has_scenarios_with_controls_that_were_proven_as_they_stand(
    scenarios: list[LoadedScenario],
) -> None:
    assert list(complaints(scenarios, proofs())) == []


def test_the_page_in_docs_is_the_one_that_scenarios_and_proofs_give(scenarios: list[LoadedScenario]) -> None:
    assert (ROOT / "docs/ledger.md").read_text(encoding="utf-8") == page(scenarios, proofs()), (
        "run: python -m ossvol.ledger"
    )


def test_a_cause_without_scenario_a_missing_control_and_a_stale_proof_are_complained_of(
    scenarios: list[LoadedScenario],
) -> None:
    known = dict(proofs())
    some = next(one for one in scenarios if one.scenario.cause_id == "zero-size/until-close")
    known[some.id] = Proof("another", known[some.id].dates)
    known["gone/scenario"] = Proof("x", {})
    rest = [one for one in scenarios if one.scenario.cause_id != "unmount/busy"]
    found = list(complaints(rest, known))
    assert "unmount/busy: no scenario" in found
    assert f"{some.id}: {some.file} has changed since it was proven" in found
    assert "gone/scenario: recorded as proven, and no scenario has this id" in found


def test_a_passed_run_is_recorded_by_engine_and_a_changed_file_starts_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("scenario: a/b\n", encoding="utf-8")
    result = {"id": "a/b", "status": "passed", "file": str(file), "via": "direct", "ossfs": "1.91.3"}
    once = record({}, [result, {**result, "id": "a/c", "status": "failed"}], "2026-01-01")
    assert once == {"a/b": Proof(digest(file), {"direct": "2026-01-01"})}
    both = record(once, [{**result, "via": "kernel"}], "2026-01-02", real=True)
    assert both["a/b"].dates == {"direct": "2026-01-01", "ossfs 1.91.3": "2026-01-02"}
    file.write_text("scenario: a/b  # changed\n", encoding="utf-8")
    assert record(both, [result], "2026-01-03")["a/b"].dates == {"direct": "2026-01-03"}
