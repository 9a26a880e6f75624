"""Every way in which the command fails, against what the real binaries printed (data/command_line.json, measured)."""

from __future__ import annotations

import io
import json
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from osscloud.clock import AdjustableClock, WallClock
from osscloud.http_server import HttpServer
from osscloud.service import OssService
from ossfuse.mount import Mount
from ossfuse.profile import find

MEASURED = json.loads((Path(__file__).parent / "data" / "command_line.json").read_text(encoding="utf-8"))["cases"]
PASSWORDS = {
    "good": "bkt:AK:SK\nother:AK:SK\nnobkt:AK:SK\n",
    "default": "AK:SK\n",
    "wrongkey": "bkt:AK:XX\n",
    "noid": "bkt:NOPE:SK\n",
    "space": "bkt: AK:SK\n",
    "bracket": "[bkt]\n",
    "nocolon": "bktAKSK\n",
    "dup": "bkt:AK:SK\nbkt:AK:SK\n",
    "dupdef": "AK:SK\nAK:SK\n",
    "empty": "",
    "half": "OSSAccessKeyId=AK\n",
    "pair": "OSSAccessKeyId=AK\nOSSSecretKey=SK\n",
    "emptysecret": "bkt:AK:\n",
    "comment": "# c\n\nbkt:AK:SK\n",
    "otherb": "zzz:AK:SK\n",
    **dict.fromkeys(("world", "group", "exec", "ro400"), "bkt:AK:SK\n"),
}
MODES = {"world": 0o644, "group": 0o640, "exec": 0o700, "ro400": 0o400}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    service = OssService(clock=WallClock(), rng=random.Random(1))
    service.accounts.create_key(id="AK", secret="SK")
    service.admin.create_bucket("bkt")
    service.admin.put("bkt", "p/")
    with HttpServer(service) as server:
        yield server.port


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PASSWORDS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(MODES.get(name, 0o600))
    (tmp_path / "m").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class QuickClock(AdjustableClock):
    """Waits between attempts only on paper."""

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def prepared(
    argv: list[str], version: str, directory: Path, environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    mount = Mount(
        argv,
        profile=find(version),
        environment={"HOME": str(directory)} if environment is None else environment,
        program="ossfs",
        clock=QuickClock(),
        stdout=out,
        stderr=err,
    )
    code = mount.prepare()
    mount.close()
    return 0 if code is None else code, out.getvalue(), err.getvalue()


def normalised(text: str, port: int, version: str) -> str:
    notice = find(version).sigv1_notice
    text = text.replace(notice, "NOTICE") if notice else text
    text = text.replace("PROG: ", "ossfs: ")  # argv[0] of the measurement
    text = re.sub(r"already has [0-9.]+ MB", "already has SOME MB", text.replace(str(port), "PORT"))
    return re.sub(r"<\?xml.*", "XML", text, flags=re.DOTALL)


@pytest.mark.parametrize("version", ["1.80.6", "1.91.1", "1.91.10"])
@pytest.mark.parametrize("case", MEASURED)
def test_the_command_prints_and_returns_what_the_binary_does(
    case: str, version: str, port: int, directory: Path
) -> None:
    argv = [word.replace("PORT", str(port)) for word in MEASURED[case]["argv"]]
    measured = MEASURED[case]["answers"][version]
    code, out, err = prepared(argv, version, directory)
    assert code == measured["code"]
    assert normalised(err, port, version) == normalised(measured["stderr"], port, version)
    assert normalised(out, port, version) == measured["stdout"]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.80.6", "ossfs: unable to connect url 'http://127.0.0.1:PORT'\n"),
        (
            "1.91.10",
            "ossfs: Failed to check bucket and directory for mount point : "
            "Unable to connect(host=http://127.0.0.1:PORT, message=)\n",
        ),
    ],
)
def test_an_endpoint_that_nobody_serves_is_told_after_the_retries(version: str, message: str, directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    argv = ["bkt", "m", f"-ourl=http://127.0.0.1:{port}", "-o", "use_path_request_style,passwd_file=good"]
    code, _, err = prepared(argv, version, directory)
    assert (code, err.replace(str(port), "PORT")) == (1, message)


def test_releases_that_only_log_a_failed_check_print_nothing(port: int, directory: Path) -> None:
    argv = ["nobkt", "m", f"-ourl=http://127.0.0.1:{port}", "-o", "use_path_request_style,passwd_file=good"]
    log = directory / "log"
    code, out, err = prepared([*argv, "-o", f"logfile={log}"], "1.91.5", directory)
    assert (code, out, err) == (1, "", "")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[0-9:.]+Z \[CRT\] Failed to check bucket : Bucket not found\(host=[^,]+, message=.*\)\n",
        log.read_text(),
    )


def test_signature_4_silences_the_notice_but_for_1_91_6(port: int, directory: Path) -> None:
    argv = ["b@d", "m", "-osigv4,region=cn-hangzhou", f"-ourl=http://127.0.0.1:{port}"]
    assert "NOTICE" not in prepared(argv, "1.91.7", directory)[1]
    assert "March 1st, 2025" in prepared(argv, "1.91.6", directory)[1]


def test_a_fake_free_space_is_believed(port: int, directory: Path) -> None:
    argv = ["bkt", "m", f"-ourl=http://127.0.0.1:{port}", "-o", "use_path_request_style,passwd_file=good"]
    _, _, err = prepared([*argv, "-ofake_diskfree=10"], "1.91.10", directory)
    assert "Requires 50.000 MB, already has 10.000 MB." in err
