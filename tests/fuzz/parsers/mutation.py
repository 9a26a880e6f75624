"""Input that is nearly right: something valid, with up to four edits of the kind that parsers trip over."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["TOKENS", "damaged", "damaged_bytes", "mostly", "texts"]

T = TypeVar("T")

TOKENS = (
    "", "\0", "\t", "\n", "\r\n", " ", "\x0b", "\x1c", "\x7f", "\x85", "\xa0", "\u2028", "\ufeff", "文", "😀", "٣", "²",
    "%", "%00", "%ff", "%zz", "&", "&#1;", "&#x110000;", "&lt;", "<", ">", "<a>", "</a>", "]]>", "<!--", "<!DOCTYPE a>",
    "<?xml version='1.0' encoding='utf-7'?>", "'", '"', "\\", "\\377", "\\400", "/", "//", "..", ".", ":", "::", ",",
    ";", "=", "==", "-", "--", "-o", "+", "*", "?", "#", "!", "|", "$", "@", "~", "`", "(", ")", "[", "]", "{", "}",
    "- ", "? ", "*a", "&a ", "!!int ", "!!binary ", "!!float ", "<<: ", "| ", "> ", "--- ", "...", "yes", "null", "~",
    "NaN", "Infinity", "-0", "1e999", "1e-999", "1e9999999999", "0x", "0x_", "0b", "0o8", "08", "1_000", "+1", "1.5",
    "1:30", "9" * 30, "9" * 5000, "-1", "18446744073709551616", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00",
    "Thu, 01 Jan 99999999999999999999 00:00:00 GMT", "[" * 2000, "{" * 2000, '{"a":' * 2000, "<a>" * 2000,
    "a" * 1100, "true", "false", "None", "x-oss-", "acs:", "aux", "reg:", "reg:(", "bytes=0-",
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[str], *, edits: int = 4) -> str:
    """A text with 0 to `edits` pieces cut out, doubled, moved or put in."""
    text = draw(valid)
    for _ in range(draw(st.integers(0, edits))):
        low = draw(st.integers(0, len(text)))
        high = min(len(text), low + draw(st.integers(0, 12)))
        match draw(st.integers(0, 3)):
            case 0:
                text = text[:low] + text[high:]
            case 1:
                text = text[:low] + text[low:high] * 2 + text[high:]
            case 2:
                token = draw(st.sampled_from(TOKENS) | st.characters(exclude_categories=["Cs"]))
                text = text[:low] + token + text[high:]
            case _:
                other = draw(st.integers(0, len(text)))
                text = text[:other] + text[low:high] + text[other:]
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, valid: st.SearchStrategy[bytes], *, edits: int = 4) -> bytes:
    """The same with bytes: some changed, cut out, doubled or put in."""
    data = draw(valid)
    for _ in range(draw(st.integers(0, edits))):
        low = draw(st.integers(0, len(data)))
        high = min(len(data), low + draw(st.integers(0, 12)))
        match draw(st.integers(0, 3)):
            case 0:
                data = data[:low] + data[high:]
            case 1:
                data = data[:low] + data[low:high] * 2 + data[high:]
            case 2:
                token = draw(st.sampled_from(TOKENS).map(str.encode) | st.binary(min_size=1, max_size=4))
                data = data[:low] + token + data[high:]
            case _:
                data = data[:low] + draw(st.binary(min_size=high - low, max_size=high - low)) + data[high:]
    return data


def mostly(valid: st.SearchStrategy[T], rarely: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Nine times of ten the first."""
    return st.integers(0, 9).flatmap(lambda choice: rarely if choice == 9 else valid)


texts = mostly(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12),
    st.sampled_from(TOKENS) | st.text(st.characters(codec="utf-8"), max_size=6),
)
"""What users type into a field."""
