"""The runner on the direct engine: what a pass, a failure and a skip look like."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ossvol.errors import UsageError
from ossvol.result import Phase, Result, Status
from ossvol.runner import Runner, RunOptions, version_of_binary
from ossvol.scenario import loads

BASE = """\
scenario: shop/case
title: {en: A, zh: 甲}
given:
  objects:
    - {key: data/a.txt, body: hello, via: console}
  volume: {path: /data, options: "-o allow_other"}
  containers: {app: {uid: 1000, gid: 1000}}
"""


def run(text: str, **options: str) -> Result:
    with Runner(RunOptions("direct", **options)) as runner:
        return runner.run(loads(text, "case.yaml"))


def failure_of(when: str) -> tuple[str, str]:
    result = run(BASE + f"when:\n  - {when}\n")
    assert result.error == ""
    (failure,) = result.failures
    return failure.expected, failure.seen


def test_a_wrong_expectation_shows_step_expected_seen_requests_place_and_how_to_repeat_it() -> None:
    result = run(BASE + "when:\n  - {stat: a.txt}\n  - {read: a.txt, as: app, expect: {body: hello}}\n")
    assert result.status is Status.FAILED
    assert (result.symptom, result.remedy, result.control) == (Status.FAILED, None, None)
    (failure,) = result.failures
    assert failure.text().splitlines() == [
        "case.yaml:10: symptom",
        "  step       {read: a.txt, as: app}",
        "  expected   success",
        "  seen       EACCES (Permission denied)",
        "  requests   HeadObject data/a.txt -> 200  (open by app[4194305], uid 1000)",
        "  reproduce  ossvol run case.yaml --via direct",
    ]


def test_the_requests_of_a_failed_step_are_told_with_who_caused_them() -> None:
    result = run(BASE + "when:\n  - {read: missing, as: app}\n", ossfs_version="1.91.10")
    (failure,) = result.failures
    first, *_ = failure.requests
    assert first.startswith("HeadObject data/missing -> 404 NoSuchKey  (getattr by app[")
    assert first.endswith("], uid 1000)")
    assert failure.reproduce == "ossvol run case.yaml --via direct --ossfs-version 1.91.10"


@pytest.mark.parametrize(
    ("when", "expected", "seen"),
    [
        ('{stat: a.txt, expect: {mode: "0644", uid: 1, size: ">5"}}', "mode 0644, uid 1, size >5", None),
        ("{stat: a.txt, expect: {type: directory}}", "type directory", "type file"),
        ("{stat: a.txt, expect: {errno: ENOENT}}", "ENOENT (No such file or directory)", "success"),
        ("{stat: b.txt}", "success", "ENOENT (No such file or directory)"),
        ("{read: a.txt, expect: {body: hallo}}", "body 'hallo'", "body 'hello'"),
        ('{ls: "", expect: {entries: [b.txt]}}', "entries [b.txt]", "entries [a.txt]"),
        ('{ls: "", expect: {entries: {b: {}}}}', "entry b present", "entry b absent in [a.txt]"),
        (
            '{ls: "", expect: {entries: {a.txt: {absent: true}}}}',
            "entry a.txt absent",
            "entry a.txt present in [a.txt]",
        ),
        (
            '{ls: "", long: true, expect: {entries: {a.txt: {size: 4, uid: 0}}}}',
            "a.txt: size 4",
            "a.txt: size 5",
        ),
        ('{ls: "", expect: {entries: ">=2"}}', "entries >=2", "entries 1"),
        ("{stat: a.txt, expect: {requests: {HeadObject: 0}}}", "requests HeadObject 0", "requests HeadObject 1"),
        ("{stat: a.txt, expect: {requests: {total: 2..3}}}", "requests total 2..3", "requests total 1"),
        ('{ls: "", expect: {scanned: 0}}', "scanned 0", None),
        ("{stat: a.txt, expect: {cost_ms: 0}}", "cost_ms 0", "cost_ms 4.0"),
        ("{stat: a.txt, expect: {object: {data/a.txt: {absent: true}}}}", "object data/a.txt absent", None),
        ("{stat: a.txt, expect: {object: {k: {size: 1}}}}", "object k present", "object k absent"),
        (
            "{stat: a.txt, expect: {object: {data/a.txt: {size: 1, meta: {mode: '1'}, content_type: x, versions: 2}}}}",
            "object data/a.txt: size 1, object data/a.txt: content_type x, object data/a.txt: meta mode 1, "
            "object data/a.txt: versions 2",
            "object data/a.txt: size 5, object data/a.txt: content_type text/plain, object data/a.txt: meta mode None, "
            "object data/a.txt: versions 1",
        ),
        ("{stat: a.txt, expect: {holders: [{path: a.txt, as: app}]}}", "holder a.txt by app", "holder none"),
        ("{open: a.txt, handle: h, expect: {holders: []}}", "holders none", "holders a.txt by root (uid 0)"),
        ("{remount: {}, expect: {message: nothing}}", "the mount fails with ...nothing...", "it is mounted"),
        ("{remount: {}, expect: {returncode: 1}}", "returncode 1", "returncode 0"),
        ("{remount: {options: -o nonsense}}", "success", None),
    ],
)
def test_each_expectation_fails_in_its_own_words(when: str, expected: str, seen: str | None) -> None:
    got = failure_of(when)
    assert got[0] == expected
    if seen is not None:
        assert got[1] == seen


def test_a_failed_symptom_leaves_the_rest_unrun_and_a_failed_remedy_does_not() -> None:
    tail = """\
remedies:
  - {title: first, do: [{stat: a.txt}], resolved: [{stat: none}]}
  - {title: second, do: [{stat: a.txt}], resolved: [{stat: a.txt}]}
control:
  - {chmod: a.txt, mode: "0644", then: [{stat: a.txt, expect: {mode: "0600"}}]}
"""
    result = run(BASE + "when:\n  - {stat: none}\n" + tail)
    assert (result.symptom, result.remedy, result.control) == (Status.FAILED, Status.SKIPPED, Status.SKIPPED)
    result = run(BASE + "when:\n  - {stat: a.txt}\n" + tail)
    assert (result.symptom, result.remedy, result.control) == (Status.PASSED, Status.FAILED, Status.FAILED)
    assert [(failure.phase, failure.branch, failure.line) for failure in result.failures] == [
        (Phase.REMEDY, "first", 11),
        (Phase.CONTROL, "", 14),
    ]


def test_each_remedy_and_control_starts_from_given_and_when_alone() -> None:
    result = run(
        BASE
        + """\
when:
  - {write: new.txt, body: x}
remedies:
  - title: one
    do: [{delete: data/a.txt}, {put: data/other, body: y}]
    resolved: [{head: data/a.txt, expect: {errno: ENOENT}}]
  - title: two
    do: [{head: data/a.txt}]
    resolved: [{list: "", expect: {entries: [data/a.txt, data/new.txt]}}]
control:
  - {delete: data/new.txt, then: [{list: "", expect: {entries: [data/a.txt]}}]}
  - {put: data/z, then: [{list: "", expect: {entries: [data/a.txt, data/new.txt, data/z]}}]}
"""
    )
    assert result.status is Status.PASSED, result


def test_a_failing_mount_tells_what_the_command_said_and_what_it_asked() -> None:
    result = run(BASE.replace("given:", "versions: {ossfs: <1.88}\ngiven:") + "when:\n  - {stat: a.txt}\n")
    (failure,) = result.failures
    assert failure.step == "mount"
    assert "exit code 1" in failure.seen
    assert "bucket 'demo' does not exist" in failure.seen
    assert failure.requests[0].startswith("GetObject data/ -> 404 NoSuchKey")
    assert all(line.startswith(" ") for line in failure.text().splitlines()[1:])


def test_a_step_that_makes_no_sense_is_a_failure_that_says_so() -> None:
    assert failure_of("{unmount: }\n  - {stat: a.txt}")[1] == "the volume is not mounted"
    assert failure_of("{stat: a.txt}\n  - {mount: {}}")[1] == "the volume is mounted already: remount, or unmount first"
    assert failure_of("{open: a.txt, handle: h}\n  - {open: a.txt, handle: h}")[1] == 'the handle "h" is open already'


def test_a_volume_with_an_open_file_is_busy() -> None:
    assert failure_of("{open: a.txt, handle: h}\n  - {unmount: }")[1] == "EBUSY (Device or resource busy)"


def test_an_alternative_for_another_release_runs_on_it() -> None:
    text = BASE.replace("given:", 'versions: {ossfs: "1.91.10"}\ngiven:') + (
        "when:\n  - {link: a.txt, to: b, expect: {errno: ENOTSUP}}\n"
        "remedy: [{put: data/}, {remount: {version: 1.80.7}}]\n"
        "resolved: [{link: a.txt, to: b, expect: {errno: EPERM}}]\n"
    )
    result = run(text)
    assert result.status is Status.PASSED, result.failures
    assert result.ossfs == "1.91.10"


def test_a_scenario_of_other_releases_or_another_way_is_skipped_with_the_reason() -> None:
    text = BASE.replace("given:", 'versions: {ossfs: "<1.91"}\ngiven:') + "when:\n  - {stat: a.txt}\n"
    result = run(text, ossfs_version="1.91.3")
    assert (result.status, result.reason) == (Status.SKIPPED, "is about ossfs <1.91, this is 1.91.3")
    text = BASE.replace("given:", "via: [kernel]\nvia_reason: it is about umount\ngiven:") + "when: [{stat: a.txt}]\n"
    result = run(text)
    assert (result.status, result.reason) == (Status.SKIPPED, "runs via kernel only: it is about umount")


def test_credentials_are_wrong_disabled_unknown_or_limited_as_given() -> None:
    def first(credentials: str, version: str = "1.91.10") -> str:
        text = BASE.replace("given:", f"given:\n  credentials: {credentials}") + "when: [{stat: a.txt}]\n"
        failures = run(text, ossfs_version=version).failures
        return failures[0].requests[0] if failures else ""

    assert first("{}") == ""
    assert "SignatureDoesNotMatch" in first("{secret: wrong}")
    assert "InvalidAccessKeyId" in first("{status: Unknown}")
    assert "403" in first("{status: Disabled}")
    assert "AccessDenied" in first("{allow: ['oss:PutObject']}")
    assert "AccessDenied" in first("{deny: ['oss:ListObjects']}")
    assert first("{policy: AliyunOSSReadOnlyAccess}") == ""
    statement = "{Effect: Allow, Action: 'oss:PutObject', Resource: '*'}"
    assert "AccessDenied" in first(f"{{policy: {{Version: '1', Statement: [{statement}]}}}}")


def test_a_bucket_policy_denies_the_mount_and_a_rotated_key_is_the_same_users() -> None:
    result = run(
        BASE.replace(
            "given:",
            """\
given:
  bucket:
    name: demo
    policy:
      Version: "1"
      Statement: [{Effect: Deny, Principal: ["*"], Action: ["oss:DeleteObject"], Resource: ["acs:oss:*:*:demo/*"]}]
  credentials: {policy: AliyunOSSFullAccess}""",
        )
        + """\
when:
  - {unlink: a.txt, expect: {errno: EPERM}}
  - {rotate_key: null}
  - {remount: {}}
  - {unlink: a.txt, expect: {errno: EPERM}}
  - {read: a.txt, expect: {body: hello}}
"""
    )
    assert result.status is Status.PASSED, result.failures


def test_faults_hit_as_often_as_they_say() -> None:
    result = run(
        BASE
        + """\
when:
  - {fault: {operation: PutObject, status: 403, code: AccessDenied, count: 1}}
  - {write: b.txt, body: x, expect: {errno: EPERM, object: {data/b.txt: {absent: true}}}}
  - {write: c.txt, body: x, expect: {object: {data/c.txt: {size: 1}}}}
"""
    )
    assert result.status is Status.PASSED, result.failures


def test_the_references_example_of_every_verb_runs() -> None:
    document = (Path(__file__).parents[2] / "docs/scenarios.md").read_text(encoding="utf-8")
    for text in re.findall(r"```yaml\n(.*?)```", document, re.DOTALL):
        result = run(text)
        assert result.status is Status.PASSED, result.failures[0].text()


def test_a_binary_that_is_no_ossfs_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="does not tell its version"):
        version_of_binary("/bin/true")
    with pytest.raises(UsageError, match="No such file"):
        version_of_binary("/nowhere/ossfs")
