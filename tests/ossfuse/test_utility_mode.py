"""The utility mode: unfinished multipart uploads listed and aborted. Texts, codes and requests as ossfs 1.80.6, 1.91.1
and 1.91.10 were seen to print and send them."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path

import pytest

from osscloud.clock import AdjustableClock, VirtualClock
from osscloud.message import Request, Response
from osscloud.service import OssService
from ossfuse.client import ObjectClient
from ossfuse.mount import Mount
from ossfuse.options import parse
from ossfuse.passwd import Credentials
from ossfuse.profile import find

DAY = 86_400
RULE = "-" * 63


class Bench:
    """A bucket with two unfinished uploads, and the command."""

    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.service = OssService(clock=self.clock, rng=random.Random(1))
        self.service.admin.create_bucket("bkt")
        self.service.accounts.create_key(id="AK", secret="SK")
        self.passwd = directory / "passwd"
        self.passwd.write_text("bkt:AK:SK\n")
        self.passwd.chmod(0o600)
        self.log: list[str] = []
        self.ids = [self.begin(key) for key in ("/a/b.bin", "/p/x")]
        self.log.clear()

    concurrent = False

    def send(self, request: Request) -> Response:
        self.log.append(f"{request.method} {request.target}")
        return self.service.handle(request)

    def begin(self, path: str) -> str:
        profile = find("1.91.3")
        options = parse(["bkt"], profile, look_at_mountpoint=False)
        key = Credentials("AK", "SK")
        rng = random.Random(1)
        client = ObjectClient(self, options=options, profile=profile, credentials=key, clock=self.clock, rng=rng)
        return client.initiate(path, {}, content_type="text/plain")

    def run(self, version: str, *words: str, answer: str = "") -> tuple[int | None, str, str]:
        out, err = io.StringIO(), io.StringIO()
        mount = Mount(
            [*words, "-ourl=http://oss", "-ouse_path_request_style", f"-opasswd_file={self.passwd}"],
            profile=find(version),
            environment={},
            clock=AdjustableClock(self.clock),
            transport=self,
            stdin=io.StringIO(answer),
            stdout=out,
            stderr=err,
        )
        return mount.prepare(), out.getvalue(), err.getvalue()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def listing(bench: Bench) -> str:
    date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(bench.clock.now()))
    text = "\nLists the parts that have been uploaded for a specific multipart upload.\n\n" + RULE + "\n"
    for path, upload in zip(("/a/b.bin", "/p/x"), bench.ids, strict=True):
        text += f" Path     : {path}\n UploadId : {upload}\n Date     : {date}\n\n"
    return text + RULE + "\n"


@pytest.mark.parametrize("word", ["-u", "--incomplete-mpu-list", "--incomplete-mpu-l"])
def test_1_91_lists_unfinished_uploads(bench: Bench, word: str) -> None:
    code, out, err = bench.run("1.91.3", "bkt", word)
    assert (code, err) == (0, "")
    assert out == "\n*** ossfs run as utility mode.\n\n" + listing(bench)
    assert bench.log == ["GET /bkt/?uploads"]


def test_an_empty_bucket_has_no_list(bench: Bench) -> None:
    bench.run("1.91.3", "bkt", "--incomplete-mpu-abort=all")
    assert bench.run("1.91.3", "bkt", "-u")[1].endswith("multipart upload.\n\nThere is no list.\n")


def test_1_91_aborts_what_is_older_than_asked_for(bench: Bench) -> None:
    young = bench.run("1.91.10", "bkt", "--incomplete-mpu-abort")
    assert young == (0, NOTICE + "\n*** ossfs run as utility mode.\n\n", "")
    bench.clock.advance(DAY + 1)
    code, out, _ = bench.run("1.91.3", "bkt", "--incomplete-mpu-abort")
    assert code == 0
    assert out.endswith(
        "Succeed to remove /a/b.bin multipart uploading object.\nSucceed to remove /p/x multipart uploading object.\n"
    )
    assert bench.log[-2:] == [
        f"DELETE /bkt/a/b.bin?uploadId={bench.ids[0]}",
        f"DELETE /bkt/p/x?uploadId={bench.ids[1]}",
    ]


NOTICE = (
    "[NOTICE] OSS signature V1 service will not be available in the near future. It is recommended to mount with OSS "
    "signature V4:\n\t ossfs [oss-bucket] [mount-path] [options] -osigv4 -oregion=[your-region-id]\n"
)


@pytest.mark.parametrize(
    ("age", "seconds"), [("1h30m", 5400), ("2D", 2 * DAY), ("1Y1M1D", 396 * DAY), ("0s", 0), ("ALL", 0), ("30s", 30)]
)
def test_an_age_is_written_in_units(age: str, seconds: int) -> None:
    words = ["bkt", f"--incomplete-mpu-abort={age}"]
    assert parse(words, find("1.91.3"), look_at_mountpoint=False).utility_age == seconds


@pytest.mark.parametrize("age", ["3x", "30", "1s1h", "h1", "1h 30m"])
def test_a_wrong_age_is_refused(bench: Bench, age: str) -> None:
    code, _, err = bench.run("1.91.3", "bkt", f"--incomplete-mpu-abort={age}")
    assert (code, err) == (1, "ossfs: --incomplete-mpu-abort option argument is wrong.\n")


def test_1_80_asks_before_it_aborts(bench: Bench) -> None:
    code, out, _ = bench.run("1.80.6", "bkt", "-u", answer="N\n")
    assert code == 0
    assert out.startswith("Utility Mode\n\nLists the parts")
    assert out.endswith("Would you remove all objects? [Y/N]\n")
    assert bench.log == ["GET /bkt/?uploads"]
    _, out, _ = bench.run("1.80.6", "bkt", "-u", answer="x\nyes\n")
    assert "[Y/N]\n*** please put Y(yes) or N(no).\nWould you remove all objects? [Y/N]\nSucceed to remove" in out
    assert [line.split()[0] for line in bench.log[-2:]] == ["DELETE", "DELETE"]


def test_a_mounted_directory_has_no_uploads(bench: Bench) -> None:
    code, out, err = bench.run("1.91.3", "bkt:/p", "--incomplete-mpu-abort=all")
    assert (code, out) == (1, "\n*** ossfs run as utility mode.\n\n")
    assert err == (
        "ossfs: Could not get list multipart upload.\nThere is no incomplete multipart uploaded object in bucket.\n\n"
    )
    assert bench.log == ["GET /bkt/p/?uploads"]


@pytest.mark.parametrize(
    ("version", "words", "message"),
    [
        (
            "1.91.10",
            ("bkt", "/mnt", "-u"),
            "ossfs: specified unknown second option(/mnt). you don't need to specify second option(mountpoint) for "
            "utility mode(-u).\nossfs: Fail to parse options, please check your options.\n",
        ),
        (
            "1.80.6",
            ("bkt", "/mnt", "-u"),
            "ossfs: specified unknown second optioni(/mnt). you don't need to specify second option(mountpoint) for "
            "utility mode(-u).\n",
        ),
        ("1.91.3", ("bkt", "-u", "-u"), "ossfs: already utility mode option is specified.\n"),
        ("1.91.3", ("-u",), "ossfs: missing BUCKET argument.\n"),
    ],
)
def test_a_wrong_command_line_is_refused(bench: Bench, version: str, words: tuple[str, ...], message: str) -> None:
    code, _, err = bench.run(version, *words)
    assert (code, err) == (1, message)
    assert bench.log == []
