"""What users give to ossfs: command lines of both products and their files. It is read, or refused in ossfs's words."""

from __future__ import annotations

import contextlib
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.parsers.budget import budget, within
from tests.fuzz.parsers.mutation import TOKENS, damaged, mostly, texts

from osscloud.message import Request
from ossfuse.additional_headers import AdditionalHeaders, BadHeaderFile
from ossfuse.encryption import BadKeyFile, customer_keys
from ossfuse.mime import OCTET_STREAM, MimeTable
from ossfuse.options import OPTIONS, Answered, MountOptions, UsageError, Value, parse
from ossfuse.ossfs2 import options as ossfs2
from ossfuse.ossfs2.profile import PROFILES as OSSFS2_PROFILES
from ossfuse.passwd import CredentialsError
from ossfuse.passwd import parse as parse_passwd
from ossfuse.profile import PROFILES

profiles = st.sampled_from(sorted(PROFILES)).map(PROFILES.__getitem__)
profiles2 = st.sampled_from(sorted(OSSFS2_PROFILES)).map(OSSFS2_PROFILES.__getitem__)

# An argument of a process is any bytes but zero.
arguments = texts.map(lambda text: text.replace("\0", ""))
GOOD = {
    "umask": "0022", "mp_umask": "022", "uid": "0", "gid": "0", "url": "http://oss-cn-hangzhou.aliyuncs.com",
    "default_acl": "private", "retries": "3", "storage_class": "standard", "use_sse": "kmsid:a", "passwd_file": "/p",
    "multipart_size": "10", "parallel_count": "4", "dbglevel": "info", "stat_cache_expire": "60", "ram_role": "auto",
    "sigv4": "", "region": "cn-hangzhou", "public_bucket": "1", "bucket": "demo:/dir", "list_object_max_keys": "1000",
    "ensure_diskfree": "1024", "max_dirty_data": "100", "direct_read_chunk_size": "4", "use_xattr": "1",
    "instance_name": "a", "default_permission": "0777", "ssl_verify_hostname": "0", "use_rrs": "1", "curldbg": "body",
}  # fmt: skip
WRITES = frozenset(("logfile", "set_check_cache_sigusr1"))
"""Options whose files ossfs makes while it reads its command line."""


@st.composite
def one_option(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(set(OPTIONS) - WRITES)))
    kind = OPTIONS[name].value
    if kind is Value.FLAG and draw(st.integers(0, 9)):
        return name
    good = GOOD.get(name, "600" if kind in (Value.NUMBER, Value.MASK) else "a")
    return f"{name}={draw(mostly(st.just(good), damaged(st.just(good)) | arguments))}"


groups = st.lists(
    mostly(one_option(), st.sampled_from(["ro", "nonempty", "max_background=9", "x"]) | arguments), max_size=4
)
words = st.one_of(
    groups.map(lambda items: ["-o" + ",".join(items)]),
    groups.map(lambda items: ["-o", ",".join(items)]),
    st.sampled_from(
        [["-f"], ["-d"], ["-s"], ["-fd"], ["--debug"], ["-u"], ["--incomplete-mpu-abort=1D"], ["--"], ["-o"]]
    ),
    damaged(st.sampled_from(["--incomplete-mpu-list", "--incomplete-mpu-abort=all", "--version", "-h"])).map(
        lambda w: [w]
    ),
    arguments.map(lambda word: [word]),
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """As typed, as mount(8) and as the CSI driver write them."""
    bucket = draw(mostly(st.sampled_from(["demo", "demo:/", "demo:/dir/sub", "ossfs"]), damaged(st.just("demo:/dir"))))
    target = draw(mostly(st.just("/mnt/oss"), arguments))
    line = [bucket, target, *(word for more in draw(st.lists(words, max_size=3)) for word in more)]
    if not draw(st.integers(0, 4)):
        line = draw(st.permutations(line))
    return [word.replace("\0", "") for word in line]


@budget(200)
@given(line=command_lines(), profile=profiles, euid=st.sampled_from([0, 1000]))
def test_any_command_line_of_ossfs_is_read_or_refused_in_its_words(line: list[str], profile: object, euid: int) -> None:
    with within():
        try:
            read = parse(line, profile, euid=euid, egid=euid, look_at_mountpoint=False)  # type: ignore[arg-type]
        except UsageError as error:
            assert error.exit_code > 0
            assert error.message
            assert "Traceback" not in error.message
            assert "object at 0x" not in error.message
            return
        except Answered as answer:
            assert answer.text
            return
    assert isinstance(read, MountOptions)
    for size in (read.multipart_size, read.max_stat_cache_size, read.retries, read.parallel_count):
        assert isinstance(size, int)
    for mask in (read.umask, read.mp_umask):
        assert mask is None or 0 <= mask <= 0o777
    read.prefix.encode("utf-8", "surrogateescape")


@budget(65)
@given(options=st.lists(one_option(), max_size=4), profile=profiles)
def test_options_mean_the_same_in_one_group_and_in_several(options: list[str], profile: object) -> None:
    if any(letter in option for option in options for letter in ",\\\0"):
        return

    def outcome(line: list[str]) -> object:
        try:
            return parse(line, profile, look_at_mountpoint=False)  # type: ignore[arg-type]
        except UsageError as error:
            return str(error)

    start = ["demo", "/mnt"]
    whole = outcome([*start, "-o", ",".join(options)]) if options else outcome(start)
    assert whole == outcome(start + [word for option in options for word in ("-o", option)])
    assert whole == outcome([f"-o{option}" for option in options if option] + start)


@contextlib.contextmanager
def file_of(text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "file")
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(0o600)
        yield str(path)


# ossfs 2.x

KINDS = {"bool": "true", "str": "a", "size": "1GB", "mode": "0777", "double": "0.5"}


@st.composite
def one_flag(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(ossfs2.OPTIONS)))
    option = ossfs2.OPTIONS[name]
    good = KINDS.get(option.kind, "1")
    value = draw(mostly(st.just(good), damaged(st.just(good)) | arguments | st.sampled_from(TOKENS)))
    flag = draw(mostly(st.just(name), st.sampled_from([f"no{name}", name.replace("_", "-"), f" {name}"])))
    return f"{draw(mostly(st.just('--'), st.just('-')))}{flag}" + ("" if not draw(st.integers(0, 5)) else f"={value}")


flags = st.lists(mostly(one_flag(), arguments), max_size=4)
NEEDED = ["--oss_bucket=demo", "--oss_endpoint=http://h"]


@budget(130)
@given(line=flags, conf=damaged(flags.map("\n".join)), profile=profiles2, form=st.integers(0, 3))
def test_any_command_line_of_ossfs2_is_read_or_refused_in_its_words(
    line: list[str], conf: str, profile: ossfs2.Profile, form: int
) -> None:
    line = [word.replace("\0", "") for word in line]
    with file_of(conf) as path:
        whole = [
            ["mount", "/mnt", *NEEDED, *line],
            ["mount", "/mnt", "-c", path, *NEEDED, *line],
            ["demo", "/mnt", "-o", ",".join(word.lstrip("-") for word in [*NEEDED[1:], *line])],
            line,
        ][form]
        with within():
            try:
                read = ossfs2.parse(whole, profile, directory_exists=lambda path: True)
            except UsageError as error:
                assert error.exit_code > 0
                assert error.message
                assert "object at 0x" not in error.message
                return
            except Answered as answer:
                assert answer.text
                return
    assert isinstance(read, ossfs2.MountOptions)


# Files

keys = st.text("abcXYZ019+/=._-", min_size=1, max_size=8)
buckets = st.sampled_from(["demo", "other", "a.b"])


@budget(65)
@given(key_id=keys, secret=keys, bucket=buckets, profile=profiles, more=st.lists(st.sampled_from(["", "# a:b:c", "#"])))
def test_the_key_in_a_password_file_is_the_key_of_the_mount(
    key_id: str, secret: str, bucket: str, profile: object, more: list[str]
) -> None:
    text = "\n".join([*more, f"{bucket}:{key_id}:{secret}", *more, ""])
    read = parse_passwd(text, bucket, profile)  # type: ignore[arg-type]
    assert (read.access_key_id, read.access_key_secret, read.security_token) == (key_id, secret, "")


PASSWORDS = [
    "demo:ID:SECRET\n",
    "ID:SECRET\n",
    "OSSAccessKeyId=ID\nOSSSecretKey=SECRET\n",
    "# a\n\ndemo:I:S\r\nother:I:S\n",
]


@budget(100)
@given(text=damaged(st.sampled_from(PASSWORDS)), bucket=buckets, profile=profiles)
def test_any_password_file_has_a_key_or_a_message(text: str, bucket: str, profile: object) -> None:
    try:
        with within():
            read = parse_passwd(text, bucket, profile)  # type: ignore[arg-type]
    except CredentialsError as error:
        assert str(error)
        assert "SECRET" not in str(error)
        return
    assert read.access_key_id
    assert read.access_key_secret


# The C library's compiler takes all the memory that an expression asks for, as it does in ossfs: (a{999}){999}.
HEADERS = [".txt Content-Type text/plain\n", "reg:^/a.*[.]gz$ Content-Encoding gzip\n\n# c\n", "  x-oss-meta-a  b c\n"]
header_files = damaged(st.sampled_from(HEADERS)).map(lambda text: text.replace("{", "").replace("*", "+"))


@budget(100)
@given(text=header_files, regex=st.booleans(), path=texts.map(lambda name: f"/{name}.txt"))
def test_any_file_of_additional_headers_adds_headers_or_is_refused(text: str, regex: bool, path: str) -> None:
    try:
        with within():
            rules = AdditionalHeaders.parse(text.split("\n"), regex=regex)
            added = rules.of(path)
    except BadHeaderFile as error:
        assert str(error)
        return
    assert all(name and not set(name) & set(" \t\n") for name in added)
    assert len(rules.rules) <= text.count("\n") + 1


TYPES = ["text/plain txt asc\napplication/x-a a\n# b\n\nimage/png\tpng  PNG\n"]


@budget(65)
@given(text=damaged(st.sampled_from(TYPES)), name=mostly(st.sampled_from(["/a.txt", "/a.PNG.1", "/.a", "/b/"]), texts))
def test_any_mime_types_name_a_type_of_one_word(text: str, name: str) -> None:
    with within():
        found = MimeTable.load(text).lookup(name)
    assert found
    assert not set(found) & set(" \t\n\r\v\f")
    if not name.endswith("/") and "." not in name:
        assert found == OCTET_STREAM


@budget(50)
@given(
    lines=st.lists(texts.filter(lambda line: "\n" not in line), max_size=3),
    kind=st.sampled_from(["text/plain", "application/x-文", "a/b\x85c"]),
)
def test_a_line_of_mime_types_ends_where_the_c_library_ends_it(lines: list[str], kind: str) -> None:
    text = "\n".join([line.replace("zzz", "") for line in lines] + [f"{kind} zzz", ""])
    assert MimeTable.load(text).lookup("/a.zzz") == kind


@budget(50)
@given(text=damaged(st.sampled_from(["0123456789abcdef0123456789abcdef\n", b64encode(bytes(32)).decode() + "\n# a\n"])))
def test_any_file_of_customer_keys_has_keys_or_a_message(text: str) -> None:
    with file_of(text) as path, within():
        try:
            found = customer_keys(path)
        except BadKeyFile as error:
            assert str(error)
            return
    assert found
    for key in found:
        # They become headers.
        Request("GET", "/", {"x": key.encoded, "y": key.digest}).headers["x"].encode("ascii")
