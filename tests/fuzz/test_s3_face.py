"""The same random calls of S3 on our face and on moto: every difference is one that is listed with its reason.

An entry of the list that nothing brings about any more fails as well.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from osscluster.errors import EnvironmentMissing
from ossvol.errors import UsageError
from ossvol.fuzz import s3_face
from ossvol.fuzz.against import plan_against
from ossvol.fuzz.export import as_yaml, save
from ossvol.fuzz.s3_face import S3Comparison, S3Difference, S3Servers, load_differences, run_s3
from ossvol.fuzz.s3_side import CALLS, S3Side
from ossvol.fuzz.violation import Violation

# botocore leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def servers() -> Iterator[S3Servers]:
    pytest.importorskip("moto.server", reason="moto is not installed; pip install 'ossvol[mirror]'")
    with S3Servers() as made:
        yield made


def _compared(servers: S3Servers, steps: Sequence[Sequence[Any]]) -> S3Comparison:
    comparison = S3Comparison(servers)
    for step in steps:
        comparison.run(tuple(step))
    return comparison


def test_random_calls_differ_only_where_it_is_listed(servers: S3Servers) -> None:
    result = run_s3(seed=0, examples=8, steps=25, servers=servers)
    assert not result.failures, result.failures[0].text
    assert result.steps > 80
    assert result.tally.explained
    assert len(result.tally.verbs) > 15


@pytest.mark.parametrize("known", load_differences(), ids=lambda known: known.id)
def test_a_listed_difference_is_still_one(servers: S3Servers, known: S3Difference) -> None:
    comparison = _compared(servers, known.example)
    assert comparison.used[known.id], "stale: take it off the list"
    assert known.reason
    assert comparison.over or not known.ends


def test_every_entry_is_listed_once_and_about_calls_that_there_are() -> None:
    known = load_differences()
    assert len({one.id for one in known}) == len(known)
    assert {step for one in known for step in one.steps} <= {*CALLS, "state", "*"}


def _tamper(servers: S3Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(self: S3Side, key: str, body: str, more: Any = None) -> Any:
        return S3Side.put(self, key, body + "!" if self is servers.ours and key == "b" else body, more)

    monkeypatch.setitem(CALLS, "put", longer)  # type: ignore[arg-type]


def test_a_planted_difference_is_found_shrunk_and_told(
    servers: S3Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _tamper(servers, monkeypatch)
    (failure,) = run_s3(seed=3, examples=20, steps=30, servers=servers).failures
    assert failure.property == "sides-agree"
    assert failure.text.startswith("put put b")
    (step,) = failure.steps
    assert step["put"][0] == "b"
    assert not failure.replays
    kept = yaml.safe_load(save(failure, tmp_path).read_text("utf-8"))
    assert kept == {"when": [json.loads(json.dumps(step))]}
    assert "# Found by ossvol fuzz, seed 3: sides-agree." in as_yaml(failure, "x")


def test_the_same_seed_asks_for_the_same(servers: S3Servers) -> None:
    traces: list[list[Any]] = [[], []]
    run = S3Comparison.run
    with pytest.MonkeyPatch.context() as patch:
        for trace in traces:

            def kept(self: S3Comparison, step: Any, trace: list[Any] = trace) -> None:
                trace.append(step)
                run(self, step)

            patch.setattr(S3Comparison, "run", kept)
            run_s3(seed=5, examples=3, steps=15, servers=servers)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 30


def test_what_ends_the_comparison_is_the_last_step(servers: S3Servers) -> None:
    steps = [("versioning", "Enabled"), ("delete", "a"), ("put", "b", "x")]
    comparison = _compared(servers, steps)
    assert comparison.over
    assert comparison.trace == steps[:2]


def test_a_difference_of_an_unknown_kind_is_no_listed_one(servers: S3Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    _tamper(servers, monkeypatch)
    with pytest.raises(Violation, match="etag"):
        _compared(servers, [("put", "b", "x")])


def test_without_moto_there_is_one_message_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_face.importlib.util, "find_spec", lambda name: None if name == "moto" else object())
    with pytest.raises(EnvironmentMissing, match=re.escape("--against moto needs moto, which is not installed")):
        S3Servers()


@pytest.mark.parametrize("given", [{"via": "direct"}, {"version": "1.91.1"}, {"ossfs": "/bin/true"}])
def test_what_has_no_part_in_it_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="compares S3 requests"):
        plan_against("moto", **{"via": None, "version": "", "ossfs": "", **given})


def test_the_command_compares_and_counts_what_is_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ossvol", "fuzz", "--against", "moto", "--examples", "2", "--steps", "12", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["against"] == "moto"
    assert report["explained"]
    assert report["failures"] == []
