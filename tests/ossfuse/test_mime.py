from __future__ import annotations

from pathlib import Path

import pytest

from ossfuse.mime import MimeTable

TABLE = MimeTable.load("# types\ntext/html html HTM\nimage/jpeg jpg\n\napplication/empty\ntext/other html2\n")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.html", "text/html"),
        ("a.HTML", "text/html"),
        ("a.htm", "text/html"),
        ("a.jpg.bak", "image/jpeg"),
        ("a.jpg.x.y", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        (".jpg", "image/jpeg"),
        ("dir/", "application/x-directory"),
        ("dir.jpg/", "application/x-directory"),
        ("dir.jpg/name", "application/octet-stream"),
    ],
)
def test_the_last_suffix_decides_then_the_one_before_it(name: str, content_type: str) -> None:
    assert TABLE.lookup(name) == content_type


def test_without_a_table_everything_is_an_octet_stream() -> None:
    assert MimeTable().lookup("a.html") == "application/octet-stream"


def test_a_later_line_wins() -> None:
    assert MimeTable.load("a/one x\na/two x\n").lookup("f.x") == "a/two"


def test_a_file_that_is_not_there_makes_no_table(tmp_path: Path) -> None:
    assert MimeTable.from_file(tmp_path / "none") is None
    (tmp_path / "types").write_text("text/x x\n")
    table = MimeTable.from_file(tmp_path / "types")
    assert table is not None
    assert table.lookup("n.x") == "text/x"
