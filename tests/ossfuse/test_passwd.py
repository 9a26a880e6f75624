from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ossfuse.options import MountOptions
from ossfuse.passwd import ANONYMOUS, Credentials, CredentialsError, Temporary, load, parse
from ossfuse.profile import Profile, find

OLD, NEW = find("1.80.6"), find("1.91.3")
KEY = Credentials("AK", "SK")
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, mode: int = 0o600, name: str = "passwd") -> str:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


@pytest.mark.parametrize(
    "text",
    [
        "bkt:AK:SK\n",
        "# comment\n\nother:X:Y\nbkt:AK:SK",
        "bkt:AK:SK\r\n",
        "OSSAccessKeyId=AK\nOSSSecretKey=SK\n",
    ],
)
@pytest.mark.parametrize("profile", [OLD, NEW], ids=["1.80.6", "1.91.3"])
def test_both_lines_read_an_entry_of_the_bucket(text: str, profile: object) -> None:
    assert parse(text, "bkt", profile) == KEY  # type: ignore[arg-type]  # ids need object


def test_a_secret_may_hold_equal_signs_and_the_first_and_last_colon_split() -> None:
    assert parse("bkt:A:K:S=K=", "bkt", NEW) == Credentials("A:K", "S=K=")


def test_191_falls_back_to_the_default_entry_and_180_wants_the_bucket_named() -> None:
    assert parse("AK:SK\nother:X:Y\n", "bkt", NEW) == KEY
    with pytest.raises(CredentialsError, match="your password file has no bucket 'bkt'"):
        parse("AK:SK\nother:X:Y\n", "bkt", OLD)


def test_180_takes_the_first_of_two_lines_and_191_refuses_them() -> None:
    assert parse("bkt:AK:SK\nbkt:X:Y\n", "bkt", OLD) == KEY
    with pytest.raises(CredentialsError, match="multiple entries for the same bucket"):
        parse("bkt:AK:SK\nbkt:X:Y\n", "bkt", NEW)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_for_its_owner_only_is_accepted(write: Write, mode: int) -> None:
    path = write("bkt:AK:SK\n", mode)
    assert load(MountOptions(bucket="bkt", passwd_file=path), NEW, {}) == KEY


@pytest.mark.parametrize(
    ("mode", "who"), [(0o604, "others"), (0o602, "others"), (0o640, "group"), (0o620, "group"), (0o700, "executable")]
)
def test_a_file_that_others_may_touch_is_refused(write: Write, mode: int, who: str) -> None:
    path = write("bkt:AK:SK\n", mode)
    with pytest.raises(CredentialsError, match=f"credentials file {path} should not have {who} permissions"):
        load(MountOptions(bucket="bkt", passwd_file=path), NEW, {})


def test_a_missing_file_is_worded_by_release(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    options = MountOptions(bucket="bkt", passwd_file=path)
    for version, message in (
        ("1.80.6", "specified passwd_file is not readable."),
        ("1.91.1", f"unexpected error from stat({path})."),
        ("1.91.10", f"unexpected error from stat({path}): No such file or directory"),
    ):
        with pytest.raises(CredentialsError) as caught:
            load(options, find(version), {})
        assert str(caught.value) == message


def test_the_order_is_passwd_file_then_environment_then_named_file_then_home(write: Write, tmp_path: Path) -> None:
    given = write("bkt:FILE:S\n", name="given")
    named = write("bkt:NAMED:S\n", name="named")
    write("bkt:HOME:S\n", name=".passwd-ossfs")
    environment = {"HOME": str(tmp_path)}
    plain = MountOptions(bucket="bkt")
    assert load(plain, NEW, environment).access_key_id == "HOME"
    environment["OSS_CREDENTIAL_FILE"] = named
    assert load(plain, NEW, environment).access_key_id == "NAMED"
    environment |= {"OSSACCESSKEYID": "ENV", "OSSSECRETACCESSKEY": "S"}
    assert load(plain, NEW, environment).access_key_id == "ENV"
    assert load(MountOptions(bucket="bkt", passwd_file=given), NEW, environment).access_key_id == "FILE"


def test_the_newer_variable_names_and_the_session_token_are_known_from_191() -> None:
    environment = {"OSS_ACCESS_KEY_ID": "AK", "OSS_ACCESS_KEY_SECRET": "SK", "OSS_SESSION_TOKEN": "T"}
    assert load(MountOptions(bucket="bkt"), NEW, environment) == Credentials("AK", "SK", "T")
    with pytest.raises(CredentialsError, match="could not determine"):
        load(MountOptions(bucket="bkt"), OLD, environment)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"OSSACCESSKEYID": "AK"},
            "both environment variables OSSACCESSKEYID and OSSSECRETACCESSKEY must be set together.",
        ),
        (
            {"OSSACCESSKEYID": "", "OSSSECRETACCESSKEY": "x"},
            "if one access key is specified, both keys need to be specified.",
        ),
        ({"OSSACCESSKEYID": "a", "OSSSECRETACCESSKEY": "b", "OSSSESSIONTOKEN": ""}, "session token is invalid."),
        ({"OSS_CREDENTIAL_FILE": "/none"}, 'OSS_CREDENTIAL_FILE: "/none" is not readable.'),
        ({}, "could not determine how to establish security credentials."),
    ],
)
def test_half_an_environment_is_refused(environment: dict[str, str], message: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        load(MountOptions(bucket="bkt"), NEW, environment)
    assert str(caught.value) == message


def test_a_session_token_that_was_asked_for_must_be_there() -> None:
    with pytest.raises(CredentialsError, match="OSSSESSIONTOKEN is expected to be set"):
        load(
            MountOptions(bucket="bkt", use_session_token=True),
            NEW,
            {"OSSACCESSKEYID": "a", "OSSSECRETACCESSKEY": "b"},
        )


def test_a_public_bucket_needs_no_key() -> None:
    assert load(MountOptions(bucket="bkt", public_bucket=True), NEW, {}) is ANONYMOUS


def test_a_credential_process_answers_in_json(tmp_path: Path) -> None:
    program = tmp_path / "credentials"
    program.write_text('#!/bin/sh\necho \'{"AccessKeyId":"AK","AccessKeySecret":"SK","SecurityToken":"T"}\'\n')
    program.chmod(0o700)
    options = MountOptions(bucket="bkt", credential_process=str(program))
    assert load(options, NEW, {}).current(0.0) == Credentials("AK", "SK", "T")


@pytest.mark.parametrize("script", ["exit 3", "echo {}"])
def test_a_credential_process_that_fails_leaves_requests_unsigned(tmp_path: Path, script: str) -> None:
    program = tmp_path / "credentials"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    assert load(MountOptions(bucket="bkt", credential_process=str(program)), NEW, {}).current(0.0) is None


def keys_of(*answers: str, profile: Profile = NEW) -> Temporary:
    """A metadata service that answers one after the other; "" is a failure."""
    waiting = iter(answers)

    def ask() -> str:
        answer = next(waiting)
        if not answer:
            raise ConnectionRefusedError
        return answer

    return Temporary(ask, profile=profile)


def answer_of(key: str, expires: str) -> str:
    return (
        f'{{"Code" : "Success",\n"AccessKeyId" : "{key}",\n"AccessKeySecret" : "S",\n"SecurityToken" : "T",\n'
        f'"Expiration" : "{expires}"\n}}'
    )


@pytest.mark.parametrize("profile", [OLD, NEW], ids=["1.80.6", "new"])
def test_a_temporary_key_is_renewed_twenty_minutes_before_its_end(profile: Profile) -> None:
    noon = 1795435200.0  # 2026-11-23T12:00:00Z
    source = keys_of(
        answer_of("one", "2026-11-23T13:00:00Z"), answer_of("two", "2026-11-23T14:00:00Z"), profile=profile
    )
    assert source.current(noon) == Credentials("one", "S", "T")
    assert source.current(noon + 40 * 60) == Credentials("one", "S", "T")
    assert source.current(noon + 40 * 60 + 1) == Credentials("two", "S", "T")


def test_a_key_that_cannot_be_renewed_is_asked_for_again_with_the_next_request() -> None:
    noon = 1795435200.0
    source = keys_of(answer_of("one", "2026-11-23T13:00:00Z"), "", answer_of("two", "2026-11-23T14:00:00Z"))
    source.current(noon)
    assert source.current(noon + 3600) is None
    assert source.current(noon + 3600) == Credentials("two", "S", "T")


def test_a_metadata_answer_with_another_number_of_fields_is_refused() -> None:
    assert keys_of('{"AccessKeyId":"a","AccessKeySecret":"b","Expiration":"2026-11-23T13:00:00Z"}').current(0.0) is None


def test_a_program_whose_key_never_expires_is_asked_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = tmp_path / "credentials"
    program.write_text(f'#!/bin/sh\necho x >> {count}\necho \'{{"AccessKeyId":"a","SecretAccessKey":"b"}}\'\n')
    program.chmod(0o700)
    source = load(MountOptions(bucket="bkt", credential_process=str(program)), NEW, {})
    assert source.current(0.0) == source.current(4e9) == Credentials("a", "b")
    assert count.read_text() == "x\n"


def test_a_credential_process_excludes_the_other_sources(write: Write) -> None:
    options = MountOptions(bucket="bkt", credential_process="/bin/true", passwd_file=write("bkt:AK:SK\n"))
    with pytest.raises(CredentialsError, match="cannot be specified together"):
        load(options, NEW, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can try what an unreadable file does to others")
def test_root_reads_any_file_that_passes_the_permission_check(write: Write) -> None:
    path = write("bkt:AK:SK\n", 0o400)
    os.chown(path, 4242, 4242)
    assert load(MountOptions(bucket="bkt", passwd_file=path), NEW, {}) == KEY
