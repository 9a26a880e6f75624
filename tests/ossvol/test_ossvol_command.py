"""The `ossvol` command as a user or a CI job runs it: output, exit codes, files, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PASSING = """\
scenario: {id}
title: {{en: A, zh: 甲}}
given:
  objects: [{{key: a.txt, body: hello, via: console}}]
  volume: {{options: "-o allow_other"}}
when: [{{stat: a.txt, expect: {{size: 5}}}}]
"""
FAILING = PASSING.replace("size: 5", "size: 6")
SLOW = PASSING.replace("when: [", "when: [{{fault: {{operation: HeadObject, action: stall, seconds: 60}}}}, ")


def ossvol(
    *arguments: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ossvol", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(PASSING.format(id="shop/good"))
    (tmp_path / "bad.yaml").write_text(FAILING.format(id="shop/bad"))
    return tmp_path


def test_a_run_prints_a_table_and_then_failures_in_full(files: Path) -> None:
    done = ossvol("run", "--via", "direct", files)
    assert done.returncode == 1
    assert done.stderr == ""
    assert re.search(r"shop/good +yes +- +- +\d+\.\d\d s +1\.91\.3 +-", done.stdout)
    assert re.search(r"shop/bad +NO +- +-", done.stdout)
    bad = files / "bad.yaml"
    assert f"{bad}:6: symptom\n  step       {{stat: a.txt}}\n  expected   size 6\n  seen       size 5\n" in done.stdout
    assert f"  reproduce  ossvol run {bad} --via direct\n" in done.stdout
    assert re.search(r"\n1 passed, 1 failed in \d+\.\d s\n$", done.stdout)
    assert "\x1b" not in done.stdout


def test_the_line_that_reproduces_a_failure_reproduces_it(files: Path) -> None:
    failed = ossvol("run", "--via", "direct", files / "bad.yaml")
    (line,) = re.findall(r"reproduce  ossvol (.*)", failed.stdout)
    again = ossvol(*line.split())
    assert again.returncode == 1
    assert "seen       size 5" in again.stdout


def test_all_that_ships_passes_via_direct_and_json_is_all_of_stdout() -> None:
    done = ossvol("run", "--via", "direct", "--json", "-n", "2")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert set(report) == {"version", "summary", "results"}
    assert report["version"] == 1
    assert report["summary"]["failed"] == report["summary"]["skipped"] == 0
    assert report["summary"]["passed"] == len(report["results"]) >= 17
    ids = [result["id"] for result in report["results"]]
    assert ids == [line.split()[0] for line in ossvol("list").stdout.splitlines()]
    link = next(result for result in report["results"] if result["id"] == "permission/hard-link")
    assert {key: link[key] for key in ("status", "via", "ossfs", "csi", "reason", "failure", "phases")} == {
        "status": "passed",
        "via": "direct",
        "ossfs": "1.91.3",
        "csi": None,
        "reason": None,
        "failure": None,
        "phases": {"symptom": "passed", "remedy": "passed", "control": "passed"},
    }


def test_json_of_a_failure_has_the_promised_keys(files: Path) -> None:
    done = ossvol("run", "--via", "direct", "--json", files / "bad.yaml")
    assert done.returncode == 1
    (result,) = json.loads(done.stdout)["results"]
    assert set(result) == {
        "id", "status", "via", "ossfs", "csi", "file", "seconds", "phases", "reason", "failure"
    }  # fmt: skip
    assert set(result["failure"]) == {"file", "line", "step", "expected", "seen", "requests"}
    assert result["failure"]["line"] == 6
    assert result["failure"]["requests"][0].startswith("HeadObject a.txt -> 200")


def test_junit_is_well_formed_and_replaces_the_old_file_only_when_complete(files: Path) -> None:
    report = files / "report.xml"
    report.write_text("old")
    (files / "skipped.yaml").write_text(
        PASSING.format(id="shop/skipped").replace("given:", 'via: [kernel]\nvia_reason: "a bell \\a"\ngiven:')
    )
    assert ossvol("run", "--via", "direct", "--junit", report, files).returncode == 1
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "ossvol", "tests": "3", "failures": "1", "errors": "0", "skipped": "1"
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["bad"].get("classname") == "direct.shop"
    failure = cases["bad"].find("failure")
    assert failure is not None
    assert failure.get("message") == "expected size 6, seen size 5"
    assert "reproduce  ossvol run" in (failure.text or "")
    skipped = cases["skipped"].find("skipped")
    assert skipped is not None
    assert "runs via kernel only" in (skipped.get("message") or "")
    assert sorted(path.name for path in files.iterdir()) == ["bad.yaml", "good.yaml", "report.xml", "skipped.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "permision"], 2, '"permision" is no scenario id, file or directory; did you mean "permission"?'),
        (["run", "permission/uploaded-fil"], 2, 'did you mean "permission/uploaded-file"?'),
        (["run", "nothing.yaml"], 2, "nothing.yaml:1:1: E119 cannot read the file: No such file or directory"),
        (["run", "--via", "fuse"], 2, "Invalid value for '--via'"),
        (["run", "--ossfs-version", "1.91.33"], 2, 'unknown version "1.91.33"; did you mean "1.91.3"?'),
        (["run", "--shard", "3/2"], 2, 'wanted is "i/n" with 1 <= i <= n'),
        (["run", "--ossfs", "/nowhere"], 2, "--ossfs /nowhere: not an executable file"),
        (["run", "--via", "direct", "--ossfs", "/bin/true"], 2, "needs a real mount: use --via kernel"),
        (["run", "--junit", "/nowhere/report.xml"], 2, "there is no directory /nowhere"),
        (["lint", "nothing.yaml"], 2, "E119"),
        (["new", "Not An Id"], 2, '"Not An Id" is no scenario id'),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["run", "permission/hard-link", "--via", "direct", "--ossfs-version", "1.80.6", "--shard", "2/2"], 5, ""),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said_without_a_traceback(
    arguments: Sequence[str], code: int, message: str
) -> None:
    done = ossvol(*arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert message in done.stderr


def test_mistakes_in_files_are_all_printed_and_nothing_runs(files: Path) -> None:
    (files / "bad.yaml").write_text(PASSING.format(id="shop/bad").replace("stat", "sttat"))
    (files / "worse.yaml").write_text(PASSING.format(id="shop/worse").replace("title", "titel"))
    for command in ("run", "lint"):
        done = ossvol(command, files)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f'{files}/bad.yaml:6:9: E107 unknown verb "sttat"; did you mean "stat"?',
            f'{files}/worse.yaml:1:1: E112 missing key "title"',
            f'{files}/worse.yaml:2:1: E101 unknown key "titel"; did you mean "title"?',
        ]
    machine = json.loads(ossvol("lint", "--json", files).stdout)
    assert machine["files"] == 3
    assert machine["problems"][0] == {
        "file": f"{files}/bad.yaml", "line": 6, "column": 9, "code": "E107", "message": 'unknown verb "sttat"',
        "hint": "stat",
    }  # fmt: skip


def test_shards_together_are_the_whole_and_share_nothing() -> None:
    everything = ossvol("list").stdout.splitlines()
    found: list[str] = []
    for index in (1, 2, 3):
        done = ossvol("run", "--via", "direct", "--json", "--shard", f"{index}/3")
        found += [result["id"] for result in json.loads(done.stdout)["results"]]
    assert sorted(found) == sorted(line.split()[0] for line in everything)


def test_an_id_a_prefix_and_a_cause_of_several_files_can_be_named() -> None:
    def ids(*names: str) -> list[str]:
        return [entry["id"] for entry in json.loads(ossvol("list", "--json", *names).stdout)["scenarios"]]

    assert ids("permission/mount-root") == ["permission/mount-root"]
    assert ids("permission/hard-link") == ["permission/hard-link-early", "permission/hard-link"]
    assert set(ids("slow/")) == set(ids("slow")) == {
        "slow/delete-markers", "slow/many-files", "slow/storage-class"
    }  # fmt: skip
    slow = ["slow/delete-markers", "slow/many-files", "slow/storage-class"]
    assert ids("scenarios/faq/slow", "slow/many-files") == slow


def test_where_kernel_mounts_are_impossible_direct_is_used_with_a_notice_and_kernel_is_refused(tmp_path: Path) -> None:
    script = (
        "import sys, osscluster.engine as engine\n"
        "engine.kernel_unavailable = lambda: engine.EnvironmentMissing('no FUSE', 'modprobe fuse')\n"
        "from ossvol.cli import main\n"
        "main()\n"
    )

    def without_fuse(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", script, *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)

    done = without_fuse("run", "permission/hard-link", "--json")
    assert done.returncode == 0
    assert done.stderr == "ossvol: no kernel mounts here: no FUSE; fix: modprobe fuse. Running via direct.\n"
    assert {result["via"] for result in json.loads(done.stdout)["results"]} == {"direct"}
    refused = without_fuse("run", "permission/hard-link", "--via", "kernel")
    assert (refused.returncode, refused.stdout, refused.stderr) == (4, "", "ossvol: no FUSE; fix: modprobe fuse\n")
    doctor = without_fuse("doctor")
    assert doctor.returncode == 4
    assert re.search(r"MISSING kernel mounts +no FUSE +fix: modprobe fuse", doctor.stdout)


def test_new_writes_a_scenario_that_passes_and_never_overwrites(tmp_path: Path) -> None:
    done = ossvol("new", "shop/first", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "scenarios/shop/first.yaml\n")
    assert ossvol("run", "--via", "direct", "scenarios", cwd=tmp_path).returncode == 0
    again = ossvol("new", "shop/first", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "ossvol: scenarios/shop/first.yaml exists already\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m ossvol list | head -1", shell=True, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["list", "permission"], ["doctor", "--json"]])
def test_a_reader_that_goes_before_anything_is_written_is_no_error(words: list[str]) -> None:
    """Output shorter than Python's buffer is written when the command ends."""
    ours, theirs = os.pipe()
    os.close(ours)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "ossvol", *words]
    done = subprocess.run(
        command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=environment
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_below_standard_output_is_told_in_a_line_and_is_exit_code_4(buffered: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, *([] if buffered else ["-u"]), "-m", "ossvol", "explain", "ossfs", "1.88"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=environment
        )
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_version_and_doctor_answer() -> None:
    assert re.fullmatch(r"ossvol \d+\.\d+\.\d+\n", ossvol("--version").stdout)
    report = json.loads(ossvol("doctor", "--json").stdout)
    assert {check["name"] for check in report["checks"]} >= {"python", "libfuse", "kernel mounts"}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.kernel
def test_an_interrupted_run_prints_what_it_completed_and_leaves_nothing(
    files: Path, end: signal.Signals, code: int, workers: str
) -> None:
    # "Stalled" comes last: what is before it is complete when the signal arrives.
    (files / "bad.yaml").unlink()
    (files / "stalled.yaml").write_text(SLOW.format(id="shop/stalled"))
    words = [sys.executable, "-m", "ossvol", "run", "--via", "kernel", "-n", workers, str(files)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    # Both scenarios mount; the one whose mount stays is the stalled one, and the other is complete by then.
    deadline = time.monotonic() + 120
    stalled: list[str] = []
    since = time.monotonic()
    while not stalled or time.monotonic() - since < 5:
        assert time.monotonic() < deadline, "the stalled scenario was never mounted"
        time.sleep(0.05)
        if (seen := _mounts_below(process.pid, workers)) != stalled:
            stalled, since = seen, time.monotonic()
    process.send_signal(end)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "1 of 2 scenarios did not run" in err
    assert "Traceback" not in err
    assert "shop/good" in out
    assert not [mount for mount in stalled if mount in Path("/proc/self/mounts").read_text()]


def _mounts_below(pid: int, workers: str) -> list[str]:
    """Mount points of a run by this process or its workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    owners = {str(pid), *children} if workers != "1" else {str(pid)}
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if "fuse.ossfs" in line]
    return [mount for mount in mounts if owners & set(mount.split("/run-")[-1].split("/")[0].split("-"))]


def test_a_terminal_shows_progress_and_colour_and_no_color_or_ci_turn_them_off(files: Path) -> None:
    def on_a_terminal(**environment: str) -> str:
        ours, theirs = pty.openpty()
        clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
        words = [sys.executable, "-m", "ossvol", "run", "--via", "direct", str(files / "good.yaml")]
        with subprocess.Popen(
            words, stdout=theirs, stderr=theirs, env={**clean, "TERM": "xterm-256color", **environment}, cwd=ROOT
        ):
            os.close(theirs)
            text = b""
            while True:
                try:
                    piece = os.read(ours, 4096)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
        os.close(ours)
        return text.decode()

    plain = on_a_terminal()
    assert "\x1b[32m" in plain
    assert "\x1b[?25l" in plain, "the progress bar hides the cursor"
    assert "\x1b[32m" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b[?25l" not in on_a_terminal(CI="true")
