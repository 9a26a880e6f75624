"""The pytest plugin as a user of an application's test suite meets it."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# pytester forgets what its inner runs import, and extension modules do not bear a second import.
import osscluster.engine  # noqa: F401
import ossvol.actions
import ossvol.scenario
import ossvol.testing  # noqa: F401

GOOD = """\
scenario: shop/good
title: {en: A, zh: 甲}
given:
  objects: [{key: a.txt, body: hello, via: console}]
  volume: {options: "-o allow_other"}
when:
  - {stat: a.txt, expect: {size: 5}}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n")
    (pytester.path / "scenarios").mkdir()
    return pytester


def scenario(project: pytest.Pytester, name: str, text: str) -> Path:
    path = project.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_yaml_file_below_scenarios_is_an_item(project: pytest.Pytester) -> None:
    scenario(project, "scenarios/good.yaml", GOOD)
    scenario(project, "scenarios/deep/er/also.yml", GOOD.replace("shop/good", "shop/also"))
    result = project.runpytest("--ossvol-via", "direct", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["scenarios/deep/er/also.yml::shop/also PASSED*", "scenarios/good.yaml::shop/good PASSED*"]
    )


def test_elsewhere_a_file_is_an_item_when_it_says_that_it_is_a_scenario(project: pytest.Pytester) -> None:
    scenario(project, "cases/good.yaml", GOOD)
    scenario(project, "cases/values.yaml", "replicas: 2\nscenario-like: no\n")
    project.runpytest("--ossvol-via", "direct").assert_outcomes(passed=1)


def test_a_failing_item_shows_what_the_command_shows(project: pytest.Pytester) -> None:
    scenario(project, "scenarios/bad.yaml", GOOD.replace("size: 5", "size: 6"))
    result = project.runpytest("--ossvol-via", "direct")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "scenarios/bad.yaml:7: symptom",
            "  step       {stat: a.txt}",
            "  expected   size 6",
            "  seen       size 5",
            "  requests   HeadObject a.txt -> 200*",
            "  reproduce  ossvol run scenarios/bad.yaml --via direct",
        ]
    )
    assert "runner.py" not in result.stdout.str()


def test_a_mistake_in_a_file_is_a_collection_error_with_its_place(project: pytest.Pytester) -> None:
    scenario(project, "scenarios/broken.yaml", GOOD.replace("stat:", "sttat:").replace("title", "titel"))
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            'scenarios/broken.yaml:1:1: E112 missing key "title"',
            'scenarios/broken.yaml:2:1: E101 unknown key "titel"; did you mean "title"?',
            'scenarios/broken.yaml:7:6: E107 unknown verb "sttat"; did you mean "stat"?',
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_items_can_be_chosen_by_the_cause_in_the_faq(project: pytest.Pytester) -> None:
    scenario(project, "scenarios/good.yaml", GOOD)
    faq = GOOD.replace("shop/good", "shop/faq").replace("given:", "cause: capacity/not-enforced\ngiven:")
    scenario(project, "scenarios/faq.yaml", faq)
    scenario(
        project,
        "scenarios/other.yaml",
        faq.replace("shop/faq", "shop/other").replace("capacity/not-enforced", "slow/many-files"),
    )
    result = project.runpytest("--ossvol-via", "direct", "-m", "faq(id='capacity/not-enforced')", "-v")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["*shop/faq PASSED*"])


def test_a_scenario_of_other_releases_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    scenario(project, "scenarios/old.yaml", GOOD.replace("given:", 'versions: {ossfs: "<1.91"}\ngiven:'))
    result = project.runpytest("--ossvol-via", "direct", "--ossvol-version", "1.91.10", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*is about ossfs <1.91, this is 1.91.10"])


APPLICATION = """
    import pytest

    def test_app(oss_volume):
        vol = oss_volume(options="-o allow_other")
        (vol.path / "report.txt").write_text("today")
        assert vol.bucket.keys() == ["report.txt"]
        assert vol.bucket.read("report.txt") == b"today"
        assert vol.bucket.requests("PutObject")[-1].object == "report.txt"
        vol.bucket.put("uploaded.txt", b"hello")
        assert (vol.path / "uploaded.txt").stat().st_mode & 0o777 == 0o640
        vol.remount("-o allow_other -o umask=022")
        assert (vol.path / "uploaded.txt").stat().st_mode & 0o777 == 0o755
        vol.kill()
        with pytest.raises(OSError, match="Transport endpoint is not connected"):
            (vol.path / "report.txt").read_text()
"""


@pytest.mark.kernel
def test_an_application_gets_a_mounted_path_and_the_servers_view_of_it(project: pytest.Pytester) -> None:
    project.makepyfile(APPLICATION)
    project.runpytest("--ossvol-via", "kernel").assert_outcomes(passed=1)
    assert "pytest-of" not in Path("/proc/self/mounts").read_text(encoding="utf-8")


@pytest.mark.kernel
def test_an_application_can_start_programs_while_it_has_files_of_the_volume_open(project: pytest.Pytester) -> None:
    # Until Python 3.11.4 the interpreter lock is held while the child of a vfork closes what it inherited, which is a
    # FUSE flush; C extensions (here: PyDLL) may hold it in any call.
    project.makepyfile(
        """
        import ctypes
        import subprocess
        import sys

        # A process in a call that ossfs does not answer can't even be killed; without ossfs the call fails.
        WATCHDOG = "import os, sys, time; time.sleep(20); os.kill(int(sys.argv[1]), 9)"

        def test_app(oss_volume):
            volume = oss_volume()
            watchdog = subprocess.Popen([sys.executable, "-c", WATCHDOG, str(volume._volume.pid)])
            with (volume.path / "report.txt").open("wb", buffering=0) as report:
                report.write(b"half")
                done = subprocess.run(["cat", volume.path / "report.txt"], capture_output=True, check=True)
                assert done.stdout == b"half"
                report.write(b" and half")
                subprocess.run(["true"], check=True)
                report.write(b", synced")
                assert ctypes.PyDLL(None).fsync(report.fileno()) == 0
            assert volume.bucket.read("report.txt") == b"half and half, synced"
            watchdog.kill()
            watchdog.wait()
        """
    )
    project.runpytest_subprocess("--ossvol-via", "kernel", timeout=90).assert_outcomes(passed=1)


@pytest.mark.kernel
def test_the_example_of_the_readme_passes(project: pytest.Pytester) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\n(    import os\n(?:    .*\n|\n)*)", readme)
    project.makepyfile(textwrap.dedent(block))
    project.runpytest("--ossvol-via", "kernel").assert_outcomes(passed=1)


def test_via_direct_a_test_that_needs_the_path_is_skipped_with_reason_and_remedy(project: pytest.Pytester) -> None:
    project.makepyfile(APPLICATION)
    result = project.runpytest("--ossvol-via", "direct", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*volume.path needs a kernel mount: *"])


def test_system_calls_of_a_container_work_with_every_engine(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import os
        import pytest

        def test_other_user(oss_volume):
            volume = oss_volume("-o allow_other", version="1.91.10", path="/data", uid=1000, gid=1001)
            app = volume.container(uid=1000, gid=1001)
            fd = app.open("new.txt", os.O_WRONLY | os.O_CREAT, 0o644)
            app.write(fd, b"hello")
            assert volume.holders()[0].path == "new.txt"
            app.close(fd)
            assert volume.bucket.object("data/new.txt").meta["uid"] == "1000"
            assert app.stat("").uid == 1000
            mark = volume.bucket.mark()
            volume.advance(1000)
            app.stat("new.txt")
            assert [record.operation for record in volume.bucket.requests(since=mark)] == ["HeadObject"]
            volume.unmount()
            with pytest.raises(RuntimeError, match="not mounted"):
                volume.holders()
        """
    )
    project.runpytest("--ossvol-via", "direct").assert_outcomes(passed=1)


def test_the_server_alone_talks_to_an_sdk_with_every_engine(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import oss2

        def test_sdk(oss_server, oss_bucket):
            auth = oss2.Auth(oss_server.access_key_id, oss_server.access_key_secret)
            bucket = oss2.Bucket(auth, oss_server.endpoint, oss_bucket.name, is_path_style=True)
            bucket.put_object("a.txt", b"hello")
            assert oss_bucket.read("a.txt") == b"hello"
            oss_bucket.delete("a.txt")
            assert not bucket.object_exists("a.txt")
        """
    )
    project.runpytest("--ossvol-via", "direct").assert_outcomes(passed=1)


def test_the_fixture_scenario_runs_one_by_id_and_fails_the_test_with_its_text(project: pytest.Pytester) -> None:
    bad = scenario(project, "cases/bad.yaml", GOOD.replace("size: 5", "size: 6"))
    project.makepyfile(
        f"""
        def test_by_id(scenario):
            assert scenario("permission/mount-root").remedy == "passed"

        def test_by_file(scenario):
            scenario({str(bad)!r})

        def test_unknown(scenario):
            scenario("permission/mount-rot")
        """
    )
    result = project.runpytest(
        "--ossvol-via", "direct", "test_the_fixture_scenario_runs_one_by_id_and_fails_the_test_with_its_text.py"
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*expected   size 6*", '*did you mean "permission/mount-root"*'])


def test_a_test_marked_kernel_is_skipped_via_direct(project: pytest.Pytester) -> None:
    project.makepyfile("import pytest\n\n@pytest.mark.kernel\ndef test_mount(): pass\n")
    result = project.runpytest("--ossvol-via", "direct", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs a kernel mount*"])


def test_without_fuse_items_run_direct_with_one_notice_and_kernel_is_refused(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osscluster import engine

    monkeypatch.setattr(engine, "kernel_unavailable", lambda: engine.EnvironmentMissing("no FUSE", "modprobe fuse"))
    scenario(project, "scenarios/good.yaml", GOOD)
    result = project.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ossvol: no kernel mounts here: no FUSE; fix: modprobe fuse. Ran direct."])
    refused = project.runpytest("--ossvol-via", "kernel")
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines(["*--ossvol-via kernel: no FUSE; fix: modprobe fuse*"])


def test_loading_the_plugin_imports_nothing_of_ours_but_itself() -> None:
    script = (
        "import sys, ossvol.pytest_plugin\n"
        "print(sorted(name for name in sys.modules if name.startswith(('oss', 'pydantic', 'yaml', 'typer', 'rich'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['ossvol', 'ossvol.pytest_plugin']"
