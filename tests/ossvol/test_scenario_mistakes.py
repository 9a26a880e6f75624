"""Mistakes in scenario files: each at its line and column, all in one pass, in exactly these words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ossvol.errors import ScenarioErrors
from ossvol.scenario import load, load_all, loads

_GOLDEN = Path(__file__).with_name("broken_scenarios.txt")


def _sections() -> list[tuple[str, str, list[str]]]:
    found = []
    for section in _GOLDEN.read_text(encoding="utf-8").split("=== ")[1:]:
        name, _, rest = section.partition("\n")
        text, _, messages = rest.partition("--- messages\n")
        found.append((name, text, messages.splitlines()))
    return found


@pytest.mark.parametrize(("text", "messages"), [pytest.param(*rest, id=name) for name, *rest in _sections()])
def test_every_mistake_of_a_file_is_reported_in_one_pass_at_its_place(text: str, messages: list[str]) -> None:
    with pytest.raises(ScenarioErrors) as caught:
        loads(text, "F")
    assert sorted(str(problem) for problem in caught.value.problems) == sorted(messages)


def test_the_golden_file_has_every_code_that_one_text_can_show() -> None:
    shown = {message.split()[1] for _, _, messages in _sections() for message in messages}
    assert shown == {f"E{number}" for number in range(101, 118)}


def test_mistakes_of_several_files_come_together_and_an_id_is_given_once(tmp_path: Path) -> None:
    good = "scenario: a/b\ntitle: {en: A, zh: B}\ngiven: {volume: {}}\nwhen: [{stat: x}]\n"
    (tmp_path / "one.yaml").write_text(good)
    (tmp_path / "two.yaml").write_text(good)
    (tmp_path / "three.yaml").write_text(good.replace("stat", "sttat"))
    with pytest.raises(ScenarioErrors) as caught:
        load_all([tmp_path / "one.yaml", tmp_path / "two.yaml", tmp_path / "three.yaml", tmp_path / "none.yaml"])
    assert [problem.code for problem in caught.value.problems] == ["E119", "E107", "E118"]


def test_a_file_that_is_no_text_is_a_mistake_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00scenario")
    with pytest.raises(ScenarioErrors, match="E119 cannot read the file: not UTF-8 text"):
        load(path)
    path.write_bytes(b"scenario: a\x00b\n")
    with pytest.raises(ScenarioErrors, match="E110 not valid YAML"):
        load(path)
    path.write_text("")
    with pytest.raises(ScenarioErrors, match="1:1: E110 the file is empty"):
        load(path)
    path.write_text("- a\n- b\n")
    with pytest.raises(ScenarioErrors, match="1:1: E102 a scenario is a mapping"):
        load(path)


def test_a_step_knows_its_line_also_in_a_short_control() -> None:
    text = (
        "scenario: a/b\ntitle: {en: A, zh: B}\ngiven: {volume: {}}\nwhen:\n  - {stat: x}\n"
        "control:\n  - remount: {}\n    then:\n      - {stat: x}\n      - {ls: x}\n"
    )
    loaded = loads(text)
    assert loaded.line(("when", 0)) == 5
    assert loaded.line(("control", 0, "do", 0)) == 7
    assert loaded.line(("control", 0, "then", 1)) == 10
