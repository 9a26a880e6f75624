"""Every defect of the releases: it has a page, a scenario that shows it, and is gone where it must be gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ossfuse.explanation import WORDS
from ossfuse.profile import DEFECTS, PROFILES, Defect, find
from ossvol.result import Result, Status
from ossvol.runner import Runner, RunOptions
from ossvol.scenario import loads
from ossvol.scenario.vocabulary import VersionRange

ROOT = Path(__file__).parents[2]
NAMES = [defect.name for defect in DEFECTS]
every_defect = pytest.mark.parametrize("defect", DEFECTS, ids=NAMES)


def text_of(defect: Defect) -> str:
    return (ROOT / "scenarios" / "defects" / f"{defect.name}.yaml").read_text("utf-8")


def run(text: str, version: str = "") -> Result:
    with Runner(RunOptions("direct", ossfs_version=version)) as runner:
        result = runner.run(loads(text, "defect.yaml"))
    assert result.error == ""
    return result


def releases(defect: Defect) -> list[str]:
    """Those that its scenario is about."""
    wanted = VersionRange.parse(loads(text_of(defect), "defect.yaml").scenario.versions.ossfs)  # type: ignore[union-attr]
    return [version for version in PROFILES if wanted.holds(version)]


def test_there_is_a_scenario_for_every_defect_and_none_besides() -> None:
    assert sorted(path.stem for path in (ROOT / "scenarios" / "defects").iterdir()) == sorted(NAMES)


def test_the_page_on_ossfs_has_every_defect_and_who_is_bitten_and_none_besides() -> None:
    page = (ROOT / "docs" / "ossfs.md").read_text("utf-8")
    rows = re.findall(r"^\| \[([a-z-]+)\]\(\.\./scenarios/defects/\1\.yaml\) \| .+ \| .+ \| .+ \|$", page, re.MULTILINE)
    assert sorted(rows) == sorted(NAMES)


@every_defect
def test_its_words_can_be_explained_and_fixed_leaves_it_out(defect: Defect) -> None:
    assert WORDS[defect.field].say(defect.right) != WORDS[defect.field].say(not defect.right)
    assert not any(defect.in_release(find(version, fixed=True)) for version in PROFILES)


@every_defect
def test_the_oldest_and_the_newest_release_that_its_scenario_is_about_show_it(defect: Defect) -> None:
    about = releases(defect)
    assert all(defect.in_release(PROFILES[version]) for version in about)
    for version in {about[0], about[-1]}:
        result = run(text_of(defect), version)
        assert (result.status, result.remedy) == (Status.PASSED, Status.PASSED), result.failures


@every_defect
def test_its_scenario_fails_where_the_defect_is_left_out(defect: Defect) -> None:
    text = text_of(defect)
    assert "fixed: false" in text
    assert run(text.replace("fixed: false", "fixed: true")).symptom is Status.FAILED


@every_defect
def test_its_scenario_fails_on_the_nearest_release_without_it(defect: Defect) -> None:
    about = releases(defect)
    versions = list(PROFILES)
    first, last = versions.index(about[0]), versions.index(about[-1])
    without = [
        version
        for version in (*versions[last + 1 :], *reversed(versions[:first]))
        if not defect.in_release(PROFILES[version])
    ]
    if not without:
        return
    text = re.sub(r"^versions: .*\n", "", text_of(defect), flags=re.MULTILINE)
    assert run(text, without[0]).symptom is Status.FAILED
