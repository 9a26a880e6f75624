"""Bucket listings as ossfs reads them: the XML page, and the names of a directory that it makes of one or more pages.

Pure functions and values; an `ObjectNames` belongs to one thread.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ossfuse.attributes import FOLDER_SUFFIX

__all__ = ["BadListing", "ListPage", "ListedObject", "ObjectNames", "parse_page"]


class BadListing(ValueError):
    """The answer to a listing is no XML."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One key of a listing. last_modified: as OSS writes it; size in bytes; type: Normal, Appendable, Symlink, ..."""

    key: str
    etag: str = ""
    size: int = 0
    last_modified: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page. next_marker (V1) or next_token (V2): where the next one begins, "" when the answer does not say."""

    prefix: str
    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    next_marker: str = ""
    next_token: str = ""

    def decoded(self, decode: Callable[[str], str]) -> ListPage:
        """The same page with other names; where the next one begins is as the server said it."""
        objects = tuple(replace(listed, key=decode(listed.key)) for listed in self.objects)
        return replace(
            self, prefix=decode(self.prefix), objects=objects, prefixes=tuple(decode(name) for name in self.prefixes)
        )


def parse_page(body: bytes) -> ListPage:
    """Reads a ListBucketResult of either version. Other XML, an error document too, is a listing of nothing: ossfs
    looks for the elements that it wants and at nothing else. Raises BadListing for what is no XML."""
    try:
        root = _document(body)
    except (ET.ParseError, DefusedXmlException, ValueError) as error:
        raise BadListing(str(error)) from error
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    texts: dict[str, str] = {}
    for element in root:
        name = _local(element)
        if name == "Contents":
            fields = {_local(child): child.text or "" for child in element}
            size = fields.get("Size", "")
            objects.append(
                ListedObject(
                    fields.get("Key", ""),
                    fields.get("ETag", ""),
                    int(size) if size.isdigit() else 0,
                    fields.get("LastModified", ""),
                    fields.get("Type", ""),
                )
            )
        elif name == "CommonPrefixes":
            prefixes += [child.text or "" for child in element if _local(child) == "Prefix"]
        else:
            texts[name] = element.text or ""
    return ListPage(
        texts.get("Prefix", ""),
        tuple(objects),
        tuple(prefixes),
        texts.get("IsTruncated", "").lower() == "true",
        texts.get("NextMarker", ""),
        texts.get("NextContinuationToken", ""),
    )


def _document(body: bytes) -> ET.Element:
    # What defusedxml guards against needs a document type, "<!"; where there is none, the parser in C does in a third
    # of the time, and every new name means a listing. Its encoding is fixed, so that no other can hide the two letters.
    if b"<!" in body:
        found: ET.Element = fromstring(body)
        return found
    return ET.fromstring(body, ET.XMLParser(encoding="utf-8"))


def _local(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


@dataclass(slots=True)
class _Name:
    listed: ListedObject | None = None
    directory: bool = False


@dataclass(slots=True)
class ObjectNames:
    """The names that the pages of one listing give to a directory (source: S3ObjList, append_objects_from_xml_ex).

    Directories end in "/". "x/" hides "x"; "x_$folder$" counts as "x/". `last` is the greatest name as listed, which
    stands in for a missing NextMarker."""

    names: dict[str, _Name] = field(default_factory=dict)
    last: str = ""

    def add(self, page: ListPage) -> None:
        for listed in page.objects:
            self._insert(_relative(page.prefix, listed.key), listed)
        for prefix in page.prefixes:
            self._insert(_relative(page.prefix, prefix), None)

    def __bool__(self) -> bool:
        return bool(self.names)

    def sorted(self) -> list[str]:
        """Names in byte order, each once."""
        return sorted(self.names, key=lambda name: name.encode("utf-8", "surrogateescape"))

    def get(self, name: str) -> ListedObject | None:
        """What the listing says of an object; None for a common prefix."""
        return self.names[name].listed

    def is_directory(self, name: str) -> bool:
        return self.names[name].directory

    def _insert(self, name: str | None, listed: ListedObject | None) -> None:
        if not name:
            return
        self.last = max(self.last, name)
        directory = listed is None
        if FOLDER_SUFFIX in name:
            name = name.partition(FOLDER_SUFFIX)[0]
            directory = True
        if not directory and name.endswith("/"):
            directory = True
        if directory:
            name = name if name.endswith("/") else name + "/"
            self.names.pop(name[:-1], None)
        elif name + "/" in self.names:
            return
        known = self.names.setdefault(name, _Name())
        known.directory = directory
        known.listed = listed or known.listed


def with_parents(names: Iterable[str]) -> list[str]:
    """`names` in their order, then every directory between them that has no name of its own, in byte order
    (source: S3ObjList::MakeHierarchizedList)."""
    listed = [name.rstrip("/") or name for name in names]
    known = set(listed)
    missing: set[str] = set()
    for name in listed:
        parent = name.rpartition("/")[0]
        while parent and parent not in known:
            missing.add(parent)
            parent = parent.rpartition("/")[0]
    return listed + sorted(missing, key=lambda name: name.encode("utf-8", "surrogateescape"))


def _relative(prefix: str, key: str) -> str | None:
    """The name below `prefix`; None for the prefix itself and for keys that ossfs cannot show.

    ossfs cuts with dirname(3) and basename(3), so "x//" below "x/" is called "x", and a key that begins with "/" has
    no name at all."""
    if key == prefix or not key:
        return None
    directory, name = _split(key)
    if (directory, name) in (("/", "/"), (".", "."), (".", "..")):
        return None
    if directory in (".", prefix):
        return name
    if prefix.endswith("/") and directory.startswith(prefix[:-1]):
        below = directory[len(prefix) :]
        return f"{below}/{name}" if below else name
    return None


def _split(path: str) -> tuple[str, str]:
    """dirname(3) and basename(3)."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/", "/"
    directory, slash, name = stripped.rpartition("/")
    if not slash:
        return ".", name
    return directory.rstrip("/") or "/", name
