"""The language as a whole: what ships is valid, described, and the descriptions are true."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from ossvol.causes import causes
from ossvol.discovery import find_files
from ossvol.observation import Observation, compare
from ossvol.scenario import LoadedScenario, load, load_all, loads
from ossvol.scenario.model import STEP_MODELS, Expect, Step
from ossvol.scenario.schema import render, schema
from ossvol.scenario.values import Quantity
from ossvol.scenario.vocabulary import OPERATIONS, VersionRange, expectations, known_versions

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/scenarios.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
FILES = list(find_files(ROOT / "scenarios"))


@pytest.fixture(scope="module")
def shipped() -> list[LoadedScenario]:
    return load_all(FILES)


def test_the_faq_has_48_causes_with_section_and_title() -> None:
    assert len(causes()) == 48
    assert all(cause.section and cause.title for cause in causes().values())


def test_every_scenario_of_the_faq_says_whose_cause_it_shows_in_both_languages(shipped: list[LoadedScenario]) -> None:
    for one in shipped:
        scenario = one.scenario
        assert re.search("[\u4e00-\u9fff]", scenario.title.zh or ""), one.file
        if "scenarios/faq/" in one.file:
            cause = causes()[scenario.cause_id]
            assert scenario.faq == cause.section, one.file
            assert scenario.evidence, one.file
            assert Path(one.file).match(f"faq/{one.id}.yaml"), one.file


def test_hard_links_are_shown_with_both_errnos(shipped: list[LoadedScenario]) -> None:
    links = [one.scenario for one in shipped if one.scenario.cause_id == "permission/hard-link"]
    assert {(scenario.when[0].expect.errno, scenario.versions and scenario.versions.ossfs) for scenario in links} == {
        ("ENOTSUP", ">=1.88"),
        ("EPERM", "<=1.80.7"),
    }


def test_the_schema_in_docs_is_the_one_that_the_models_give() -> None:
    assert (ROOT / "docs/scenario.schema.json").read_text(encoding="utf-8") == render(), (
        "run: ossvol lint --schema > docs/scenario.schema.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_scenario_fits_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "x"},
        {"when": [{"sttat": "a"}]},
        {"when": [{"stat": "a", "expect": {"mode": 416}}]},
        {"when": [{"stat": "a", "expect": {"requests": {"HeadObject": "many"}}}]},
        {"when": [{"stat": "a", "expect": {"uid": None}}]},
        {"control": [{"remount": {}}]},
        {"control": [{"remount": {}, "then": []}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "scenario": "a/b",
        "title": {"en": "A", "zh": "B"},
        "given": {"volume": {}},
        "when": [{"stat": "a"}],
        "control": [{"remount": {}, "then": [{"stat": "a"}]}],
    }
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(good)
    loads(json.dumps(good))
    assert not validator.is_valid(good | change)


def test_the_union_of_steps_has_each_verb_once() -> None:
    members = [get_args(member)[0] for member in get_args(get_args(Step)[0])]
    assert members == list(STEP_MODELS.values())
    assert all(each.verb in each.model_fields for each in members)


def test_the_scenario_of_the_readme_is_valid() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\n((?:    .*\n)*?    scenario: .*\n(?:    .*\n)*)", readme)
    assert loads(textwrap.dedent(block)).scenario.control


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_reference_is_valid(text: str) -> None:
    loads(text)


def test_the_reference_names_every_verb_expectation_and_code() -> None:
    words = set(re.findall(r"`([a-z_0-9]+)`", DOCUMENT))
    assert set(STEP_MODELS) <= words
    assert set(Expect.model_fields) <= words
    assert set(re.findall(r"\| (E\d{3})", DOCUMENT)) == {f"E{number}" for number in range(101, 120)}


def test_the_example_of_every_verb_has_every_verb_and_expectation() -> None:
    shown = [one.scenario for one in map(loads, EXAMPLES) if one.id in ("examples/every-verb", "examples/in-a-cluster")]
    steps = [step for scenario in shown for step in scenario.when]
    # A failed mount needs a release that reports it; the FAQ's scenario mount-fail/directory-missing shows it.
    assert {step.verb for step in steps} == set(STEP_MODELS)
    used = {name for step in steps for name in step.expect.model_fields_set}
    assert used >= set(Expect.model_fields) - {"gid", "body", "sha256", "message", "returncode"}


def test_every_expectation_belongs_to_some_verb() -> None:
    assert set().union(*map(expectations, STEP_MODELS)) == set(Expect.model_fields)


def test_ranges_hold_at_their_bounds() -> None:
    from ossvol.scenario.model import FaultSpec

    def holds(text: str | int, value: float) -> bool:
        quantity = Expect.model_validate({"size": text}).size
        assert isinstance(quantity, Quantity)
        return quantity.holds(value)

    assert FaultSpec.model_validate({"operation": "PutObject"}).count == 1
    assert holds(3, 3)
    assert not holds(3, 4)
    assert holds(">=3", 3)
    assert not holds(">=3", 2.9)
    assert not holds(">3", 3)
    assert holds(">3", 3.1)
    assert holds("<3", 2.9)
    assert not holds("<3", 3)
    assert holds("<=3", 3)
    assert holds("2..5", 5)
    assert not holds("2..5", 5.1)


def test_the_default_release_is_chosen_where_it_fits_and_the_newest_otherwise() -> None:
    def choose(text: str) -> str | None:
        return VersionRange.parse(text).choose(known_versions(), preferred="1.91.3")

    assert choose(">=1.88") == "1.91.3"
    assert choose("1.88") == "1.88"
    assert choose("<=1.80.7") == "1.80.7"
    assert choose(">1.91.3") == "1.91.10"
    assert choose("<1.80") is None


def test_a_range_is_about_one_product() -> None:
    assert VersionRange.parse(">=2.0.6").choose(known_versions(), preferred="1.91.3") == "2.0.7"
    assert not VersionRange.parse(">=1.91.1").holds("2.0.7")
    assert not VersionRange.parse("!=1.88").holds("2.0.7")
    assert not VersionRange.parse("<=2.0.7").holds("1.91.10")


@pytest.mark.parametrize(("errno", "met"), [("EPERM", True), ("ENOSYS", True), ("ENOTSUP", False), ("", False)])
def test_one_of_several_errnos_may_be_expected(errno: str, met: bool) -> None:
    expect = Expect.model_validate({"errno": ["EPERM", "ENOSYS"]})
    found = compare(expect, Observation(errno=errno))
    assert (found == []) is met
    if not met:
        assert found[0].expected == "EPERM (Operation not permitted) or ENOSYS (Function not implemented)"


def test_the_operations_that_can_be_expected_are_those_that_the_cloud_logs() -> None:
    from osscloud.operations.routes import route

    params = (
        " acl append bucketInfo delete location objectMeta partNumber stat symlink tagging uploadId uploads versioning"
        " versions restore"
    )
    operations = [
        route(method, bucket, key, {param: ""} if param else {}, copies=copies)
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
        for bucket, key in (("", ""), ("b", ""), ("b", "k"))
        for param in params.split(" ")
        for copies in (False, True)
    ]
    logged = {operation.name for operation in operations if "_not_implemented" not in operation.run.__qualname__}
    not_for_objects = {"-", "PostObject", "PutBucketTagging", "DeleteBucketTagging", "GetBucketTagging"}
    tagging = {f"{verb}BucketTagging" for verb in ("Head", "Post")}
    assert logged - not_for_objects - tagging == OPERATIONS - {"total"}


def test_a_scenario_is_loaded_with_its_file_and_lines() -> None:
    loaded = load(ROOT / "scenarios/faq/permission/uploaded-file.yaml")
    line = loaded.line(("when", 0))
    assert "stat: console.txt" in (ROOT / loaded.file).read_text(encoding="utf-8").splitlines()[line - 1]
