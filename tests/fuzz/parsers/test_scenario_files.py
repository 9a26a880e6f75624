"""Scenario files: valid ones mean what they say, and every mistake in the others has its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import TOKENS, damaged, mostly, texts

from osscluster.marks import Problem
from ossvol.errors import ScenarioErrors
from ossvol.scenario import LoadedScenario, loads

SCENARIOS = Path(__file__).parents[3] / "scenarios"
FILES = sorted(path.read_text(encoding="utf-8") for path in SCENARIOS.rglob("*.yaml"))
SMALL = """\
scenario: shop/case
title: {en: A, zh: B}
given:
  bucket: {name: demo, versioning: Enabled}
  objects: [{key: a, size: 10}, {key: d/}]
  volume: {options: "allow_other,umask=022"}
  containers: {app: {uid: 1000}}
when:
  - {write: a, body: "x", as: app, expect: {errno: EACCES}}
  - {ls: "", expect: {entries: {a: {type: file}}}}
  - {advance: 5}
remedies:
  - title: mount differently
    do: [{remount: {options: ro}}]
    resolved: [{stat: a, expect: {mode: "0640", size: ">=3"}}]
"""
GOLDEN = Path(__file__).parents[2] / "ossvol" / "broken_scenarios.txt"
BROKEN = [section.partition("\n")[2].partition("--- messages")[0] for section in GOLDEN.read_text().split("=== ")[1:]]


def lint(text: str) -> LoadedScenario | tuple[Problem, ...]:
    with within(5):
        try:
            return loads(text, "F")
        except ScenarioErrors as errors:
            return errors.problems


def check(text: str) -> None:
    result = lint(text)
    if isinstance(result, LoadedScenario):
        assert result.scenario == loads(text, "F").scenario
        return
    assert result
    # YAML's own line ends.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    lines = lines.replace("\u2028", "\n").replace("\u2029", "\n")
    for problem in result:
        assert problem.file == "F"
        assert 1 <= problem.line <= lines.count("\n") + 1, problem
        assert 1 <= problem.column <= max(map(len, lines.split("\n"))) + 1, problem
        assert problem.code[0] == "E"
        assert problem.message
        assert "object at 0x" not in problem.message


@budget(50)
@given(text=damaged(st.sampled_from([SMALL, *BROKEN])))
def test_every_mistake_in_a_damaged_scenario_has_a_place_in_the_file(text: str) -> None:
    check(text)


@budget(15)
@given(text=damaged(st.sampled_from(FILES)))
def test_every_mistake_in_a_damaged_scenario_of_ours_has_a_place_in_the_file(text: str) -> None:
    check(text)


Data = object
scalars: st.SearchStrategy[Data] = st.one_of(
    texts, st.integers(-5, 99999), st.booleans(), st.none(), st.floats(), st.sampled_from(TOKENS)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=4
)


def places(data: Data) -> list[tuple[str | int, ...]]:
    """The way to every value of the data, itself the first."""
    found: list[tuple[str | int, ...]] = [()]
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in items:
        found += [(step, *rest) for rest in places(value)]
    return found


@st.composite
def changed(draw: st.DrawFn) -> str:
    """A valid scenario with one to three values put into the place of others, or beside them."""
    data = yaml.safe_load(draw(mostly(st.just(SMALL), st.sampled_from(FILES))))
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from([place for place in places(data) if place]))
        holder = data
        for step in above:
            holder = holder[step]
        match draw(st.integers(0, 3)):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[draw(texts)] = draw(values)
            case _:
                holder[last] = draw(values)
    # JSON is YAML, and every string keeps its quotes.
    return json.dumps(data, indent=1, default=str) if draw(st.booleans()) else yaml.safe_dump(data, allow_unicode=True)


@budget(50)
@given(text=changed())
def test_every_value_of_another_kind_has_a_place_in_the_file(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=text.split("\n")[0]) for text in [SMALL, *FILES]])
def test_a_scenario_written_as_it_was_read_is_the_same(text: str) -> None:
    loaded = loads(text)
    assert loads(json.dumps(loaded.document.data)).scenario == loaded.scenario


def test_values_nested_too_deeply_are_a_mistake_with_a_place() -> None:
    for deep in (
        "[" * 200_000 + "]" * 200_000,
        "[" * 20_000,
        "a: {" + "a: {" * 20_000,
        "- " * 20_000,
        "".join(f"{' ' * n}a:\n" for n in range(2000)),
    ):
        check(SMALL + "x: " + deep)
        check(deep)
