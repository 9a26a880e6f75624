"""How a parity run finds differences, makes them small, explains them and says so; on two simulated releases in
process, which differ in what is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osscluster.engine import make_engine
from ossfuse import profile
from ossvol.errors import UsageError
from ossvol.exit_codes import ExitCode
from ossvol.parity import differences, document
from ossvol.parity.command import Finding, Report, compare_binary
from ossvol.parity.comparison import Difference
from ossvol.parity.differences import Known
from ossvol.parity.generator import PER_MOUNT, generate, options_for
from ossvol.parity.pair import Pair, shrink
from ossvol.parity.recorder import in_order
from ossvol.parity.replay import Bench
from ossvol.parity.steps import VERBS, Sequence, Step
from ossvol.scenario.vocabulary import VersionRange

DOCS = Path(__file__).parents[2] / "docs"
MakePair = Callable[..., Pair]


@pytest.fixture
def pair() -> Iterator[MakePair]:
    """A pair of two simulated releases, the first in the place of the real one."""
    made: list[Pair] = []

    def make(real: str, simulated: str, known: tuple[Known, ...] = ()) -> Pair:
        made.append(Pair(Bench(make_engine("direct"), real), Bench(make_engine("direct"), simulated), known))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- steps and sequences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.80.6", "1.91.10"])
def test_a_seed_is_a_sequence_and_its_text_is_the_sequence(version: str) -> None:
    for seed in range(60):
        sequence = generate(seed, profile.find(version), steps=25)
        assert sequence == generate(seed, profile.find(version), steps=25)
        again = Sequence.parse(sequence.text())
        assert (again.options, again.steps, again.inside) == (sequence.options, sequence.steps, sequence.inside)


def test_sequences_use_every_verb_every_actor_and_only_options_that_the_release_has() -> None:
    release = profile.find("1.80.6")
    drawn = [generate(seed, release, steps=25) for seed in range(300)]
    steps = [step for sequence in drawn for step in sequence.steps]
    assert {step.verb for step in steps if step.actor in ("root", "app", "other")} == set(VERBS)
    assert {step.actor for step in steps} == {"root", "app", "other", "cloud", "volume"}
    options = " ".join({options_for(seed, release) for seed in range(0, 3000, PER_MOUNT)})
    assert "noxattr" in options
    assert "use_xattr" not in options


def test_sequences_hold_a_file_open_twice_rename_directories_write_parts_and_let_entries_expire() -> None:
    drawn = [generate(seed, profile.find("1.91.10"), steps=25) for seed in range(0, 2000, 7)]
    steps = [(sequence, step) for sequence in drawn for step in sequence.steps]
    assert any(step.verb == "rename" and set(step.words) <= {"d", "d/e", "p", "n"} for _, step in steps)
    assert any(step.verb == "write" and int(step.words[1]) > 5 << 20 for _, step in steps)
    assert any(step.verb == "write" and int(step.words[2]) > 5 << 20 for _, step in steps)
    waits = {sequence.options for sequence, step in steps if step.verb == "wait"}
    assert waits
    assert all("_expire=2" in options and "attr_timeout=0" in options for options in waits)
    assert any(_open_twice(sequence) for sequence in drawn)


def _open_twice(sequence: Sequence) -> bool:
    held: dict[str, str] = {}
    for step in sequence.steps:
        if step.verb == "open":
            if step.words[1] in held.values():
                return True
            held[step.words[0]] = step.words[1]
        elif step.verb == "close":
            held.pop(step.words[0], None)
    return False


def test_neighbouring_seeds_share_their_options_and_the_first_works_in_the_root() -> None:
    release = profile.find("1.91.3")
    assert len({options_for(seed, release) for seed in range(PER_MOUNT)}) == 1
    assert [generate(seed, release, steps=5).inside for seed in range(PER_MOUNT + 1)] == [
        False,
        *[True] * (PER_MOUNT - 1),
        False,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("root stat", "the arguments of stat are PATH"),
        ("nobody stat a", "nobody is called 'nobody'"),
        ("root dance a", "root knows no 'dance'"),
        ("root", "an actor and a verb"),
        ("root stat 'a", "No closing quotation"),
    ],
)
def test_a_step_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Step.parse(text)


def test_a_sequence_begins_with_its_mount() -> None:
    with pytest.raises(UsageError, match='begins with "mount OPTIONS;"'):
        Sequence.parse("root stat a")


# --- finding differences --------------------------------------------------------------------------------------------


def test_one_release_against_itself_shows_no_difference(pair: MakePair) -> None:
    alike = pair("1.91.10", "1.91.10")
    requests = 0
    for seed in range(25):
        verdict = alike.run(generate(seed, profile.find("1.91.10"), steps=20))
        assert verdict.unexplained == []
        requests += verdict.requests
    assert requests > 200


def test_what_another_release_answers_stores_and_asks_is_found(pair: MakePair) -> None:
    steps = "root put f 5; root open h0 f rw 0; root write h0 1 1; root close h0; root link f g"
    verdict = pair("1.80.6", "1.91.10").run(Sequence.parse(f"mount -s -o allow_other; {steps}"), fresh=True)
    found = {(one.kind, "".join(one.step.split(" ")[1:2])) for one in verdict.unexplained}
    assert {("requests", "put"), ("result", "link"), ("object", "")} <= found
    link = next(one for one in verdict.unexplained if one.kind == "result")
    assert (link.real, link.simulated) == ("EPERM", "ENOTSUP")


def test_a_field_of_stat_that_differs_is_named(pair: MakePair) -> None:
    verdict = pair("1.91.3", "1.91.10").run(Sequence.parse("mount -s; root mkdir d 755; root stat d"), fresh=True)
    assert [(one.kind, one.real, one.simulated) for one in verdict.unexplained if one.step == "root stat d"] == [
        ("size", "0", "4096"),
        ("blocks", "1", "9"),
    ]


def test_the_smallest_sequence_is_what_is_needed(pair: MakePair) -> None:
    both = pair("1.80.6", "1.91.10")
    text = "mount -s; root stat a; root mkdir d 755; root put f 5; root listdir .; root link f g; root stat f"

    def fails(sequence: Sequence) -> bool:
        return any(one.kind == "result" and " link " in one.step for one in both.run(sequence, fresh=True).unexplained)

    assert shrink(Sequence.parse(text), fails).text() == "mount -s; root put f 5; root link f g"


def test_requests_that_go_out_side_by_side_have_no_order_and_all_others_do() -> None:
    listing = ["GET ?delimiter=/&max-keys=1000&prefix= -> 200", "HEAD b -> 200", "HEAD a -> 200"]
    assert in_order(listing) == [listing[0], "HEAD a -> 200", "HEAD b -> 200"]
    assert in_order(["HEAD b -> 200", "HEAD a -> 200"]) == ["HEAD b -> 200", "HEAD a -> 200"]
    parts = ["PUT f?partNumber=2 -> 200", "PUT f?partNumber=1 -> 200"]
    assert in_order(parts) == sorted(parts)


# --- known differences ----------------------------------------------------------------------------------------------


def _known(*, ends: bool = False, versions: str = ">=1.80.6", **patterns: str) -> Known:
    compiled = {name: re.compile(text, re.MULTILINE) for name, text in patterns.items()}
    return Known("it", VersionRange.parse(versions), compiled, "a title", "a reason", "a source", ends=ends)


def test_a_listed_difference_is_explained_and_the_others_are_not(pair: MakePair) -> None:
    sequence = Sequence.parse("mount -s; root put f 5; root link f g")
    known = (_known(kind="^result$", step="^root link", real="^EPERM$"), _known(kind="requests"))
    verdict = pair("1.80.6", "1.91.10", known).run(sequence, fresh=True)
    assert {one.kind for one in verdict.unexplained} == {"object"}
    assert verdict.explained["it"] >= 2


def test_an_entry_of_other_releases_explains_nothing(pair: MakePair) -> None:
    known = (_known(kind="result", versions=">=1.91.1"),)
    verdict = pair("1.80.6", "1.91.10", known).run(Sequence.parse("mount -s; root put f 5; root link f g"), fresh=True)
    assert any(one.kind == "result" for one in verdict.unexplained)


def test_what_follows_from_a_difference_is_not_compared(pair: MakePair) -> None:
    known = (_known(kind="requests", ends=True),)
    verdict = pair("1.80.6", "1.91.10", known).run(Sequence.parse("mount -s; root put f 5; root link f g"), fresh=True)
    assert verdict.unexplained == []


def test_every_listed_difference_is_complete_and_listed_once() -> None:
    ids = [one.id for one in differences.load()]
    assert len(ids) == len(set(ids))
    for one in differences.load():
        assert one.reason
        assert one.source
        assert any(one.versions.holds(version) for version in ("1.80.6", "1.91.1", "1.91.10")), one.id


# --- reports --------------------------------------------------------------------------------------------------------


def test_an_unexplained_difference_fails_and_a_stale_entry_fails_only_when_strict() -> None:
    report = Report("/ossfs", "1.91.10", stale=["gone"])
    assert report.exit_code(strict=False) is ExitCode.OK
    assert report.exit_code(strict=True) is ExitCode.FAILURES
    assert "stale: gone" in report.as_text()
    report.findings.append(Finding(Difference("mode", "root stat a", "100644", "100640"), "sequence 7", "", "again"))
    assert report.exit_code(strict=False) is ExitCode.FAILURES
    assert "reproduce: again" in report.as_text()
    data = json.loads(report.as_json())
    assert data["summary"]["unexplained"] == 1
    assert data["differences"][0]["real"] == "100644"


def test_the_pages_are_made_of_the_data() -> None:
    remedy = "run: python -m ossvol.parity.document"
    assert (DOCS / "parity.md").read_text("utf-8") == document.parity_page(), remedy
    assert (DOCS / "errno.md").read_text("utf-8") == document.errno_page(), remedy
    assert (DOCS / "permissions.md").read_text("utf-8") == document.permissions_page(), remedy


def test_ossfs_2_is_refused_because_the_sequences_are_not_its_own(tmp_path: Path) -> None:
    binary = tmp_path / "ossfs2"
    binary.write_text("#!/bin/sh\necho 'Version ID: 2.0.7 '\n")
    binary.chmod(0o755)
    with pytest.raises(UsageError, match=r"for 2\.0\.7 parity is not modelled"):
        compare_binary(ossfs=str(binary))
