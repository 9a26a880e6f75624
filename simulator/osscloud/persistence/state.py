"""What the state of a cloud is, apart from where it is written: the plain values that make a bucket, a version, an
upload, a part and the accounts, and the way back from them.

Content is not part of them: a journal and a snapshot keep it in different ways. An attribute that has its default is
left out; one that a text has not gets its default. Functions need the store's lock where they read the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from functools import cache
from typing import cast

from osscloud import accounts as accounts_module
from osscloud import store as store_module
from osscloud.accounts import Accounts
from osscloud.blob import Content
from osscloud.persistence.codec import CodecError, Kinds, decode, dumps, encode, loads, write
from osscloud.ram import entity
from osscloud.store import Bucket, Part, Store, Upload, Version

__all__ = [
    "KINDS",
    "Written",
    "account_tables",
    "bucket_text",
    "fill_bucket",
    "make_bucket",
    "make_part",
    "make_upload",
    "make_version",
    "oldest_first",
    "part_text",
    "read_store",
    "resumed_from",
    "set_account_table",
    "store_facts",
    "store_text",
    "upload_text",
    "version_text",
]

KINDS: Kinds = {
    name: value
    for module in (accounts_module, entity, store_module)
    for name, value in vars(module).items()
    if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.__name__
}
"""The dataclasses that are part of the state: every one of these modules."""

Written = str | bytes | dict[str, object]
"""A text that this module made, or the JSON that is in it."""

# What has a place of its own, or is made of the rest.
_BUCKET_STRUCTURE = {"buried", "journal", "name", "noncurrent", "objects", "uploads"}
_VERSION_STRUCTURE = {"content", "key", "older", "size", "version_id"}
_STORE_STRUCTURE = {"buckets", "journal", "lock"}
_HEX_DIGITS = set("0123456789abcdef")


@cache
def _bucket_defaults() -> dict[str, object]:
    blank = Bucket("", owner="", created=-1)
    return {name: getattr(blank, name) for name in sorted(set(Bucket.__slots__) - _BUCKET_STRUCTURE)}


@cache
def _version_defaults() -> dict[str, object]:
    blank = Version("", type="Normal", modified=-1)
    return {name: getattr(blank, name) for name in sorted(set(Version.__slots__) - _VERSION_STRUCTURE)}


def _text(value: object, defaults: Mapping[str, object]) -> str:
    known: dict[str, object] = {}
    for name, default in defaults.items():
        found = getattr(value, name)
        if found is not default and found != default:
            # Most values are plain texts and numbers: this is what each PUT waits for.
            known[name] = found if type(found) in (str, int) else encode(found)
    return write(known)


def _fill(value: object, text: Written, defaults: Mapping[str, object]) -> None:
    known = _members(text)
    if unknown := known.keys() - defaults.keys():
        raise CodecError(f"{type(value).__name__} has no {', '.join(sorted(unknown))}")
    for name, found in known.items():
        default = defaults[name]
        if default is not None and not isinstance(found, type(default)):
            raise CodecError(f"{name} cannot be {found!r}")
        setattr(value, name, found)


def _members(written: Written) -> dict[str, object]:
    known = decode(written, KINDS) if isinstance(written, dict) else loads(written, KINDS)
    if not isinstance(known, dict):
        raise CodecError("not an object")
    return known


def bucket_text(bucket: Bucket) -> str:
    """A bucket without its name and what is in it."""
    return _text(bucket, _bucket_defaults())


def make_bucket(name: str, text: Written) -> Bucket:
    """An empty bucket. Raises CodecError."""
    bucket = Bucket(name, owner="", created=-1)
    _fill(bucket, text, _bucket_defaults())
    return bucket


def version_text(version: Version) -> str:
    """A version without key, id, content and place."""
    return _text(version, _version_defaults())


def make_version(store: Store, key: str, version_id: str, text: Written, content: Content) -> Version:
    """A version that no bucket has yet. store: shares equal headers. Raises CodecError."""
    version = Version(key, version_id=version_id, type="Normal", modified=-1, content=content)
    _fill(version, text, _version_defaults())
    if version.headers:
        version.headers = store.share(version.headers)
    return version


def _upload_fields() -> Iterator[Field[object]]:
    return (field for field in fields(Upload) if field.name not in ("key", "id", "parts"))


def upload_text(upload: Upload) -> str:
    """An upload without key, id and parts."""
    known = {field.name: getattr(upload, field.name) for field in _upload_fields()}
    return dumps({name: dict(value) if isinstance(value, Mapping) else value for name, value in known.items()})


def make_upload(store: Store, key: str, id: str, text: Written) -> Upload:
    """An upload without parts. Raises CodecError."""
    known = _members(text)
    try:
        upload = Upload(key=key, id=id, **known)  # type: ignore[arg-type]
    except TypeError as error:
        raise CodecError(str(error)) from error
    upload.headers = store.share(upload.headers)
    return upload


def part_text(part: Part) -> str:
    """A part without number and content."""
    return dumps({field.name: getattr(part, field.name) for field in _part_fields()})


def _part_fields() -> Iterator[Field[object]]:
    return (field for field in fields(Part) if field.name not in ("number", "content"))


def make_part(number: int, text: Written, content: Content) -> Part:
    """A part. Raises CodecError."""
    try:
        return Part(number=number, content=content, **_members(text))  # type: ignore[arg-type]
    except TypeError as error:
        raise CodecError(str(error)) from error


def store_text(store: Store) -> str:
    """What the store knows beside its buckets (custom domains, when lifecycle was evaluated)."""
    return dumps(dict(store_facts(store)))


def store_facts(store: Store) -> Iterator[tuple[str, object]]:
    """The same as names and values."""
    return ((name, value) for name, value in vars(store).items() if _of_store(name))


def read_store(store: Store, text: Written) -> None:
    """Undoes `store_text`. Raises CodecError."""
    for name, value in _members(text).items():
        if not _of_store(name) or type(value) is not type(getattr(store, name, None)):
            raise CodecError(f"the store has no {name}")
        setattr(store, name, value)


def _of_store(name: str) -> bool:
    return not name.startswith("_") and name not in _STORE_STRUCTURE


def oldest_first(bucket: Bucket) -> Iterator[Version]:
    """Every version and delete marker in an order in which they can be published again: keys in byte order."""
    for key in bucket.version_keys("", inclusive=True, below=None):
        chain = []
        version = bucket.newest(key)
        while version is not None:
            chain.append(version)
            version = version.older
        yield from reversed(chain)


def fill_bucket(bucket: Bucket, versions: Iterable[Version]) -> None:
    """Puts versions into an empty bucket that no journal follows; those of a key must come oldest first."""
    newest: dict[str, Version] = {}
    covered: list[str] = []
    for version in versions:
        version.older = newest.get(version.key)
        if version.older is not None:
            covered.append(version.key)
        newest[version.key] = version
    bucket.objects.update((key, version) for key, version in newest.items() if not version.is_marker)
    bucket.buried.update((key, version) for key, version in newest.items() if version.is_marker)
    bucket.noncurrent.update(covered)


def account_tables(accounts: Accounts) -> dict[str, dict[object, object]]:
    """Everything that accounts remember: dicts of immutable values, by name."""
    tables = {"keys": accounts.keys, "sessions": accounts.sessions}
    directory = accounts.ram.directory
    tables |= {field.name: getattr(directory, field.name) for field in fields(directory)}
    return cast("dict[str, dict[object, object]]", tables)


def set_account_table(accounts: Accounts, name: str, table: dict[object, object]) -> None:
    """Puts another dict in the place of one of `account_tables`."""
    owner: object = accounts if name in ("keys", "sessions") else accounts.ram.directory
    if not isinstance(getattr(owner, name), dict):
        raise CodecError(f"accounts have no {name}")
    setattr(owner, name, table)


def resumed_from(buckets: Iterable[Bucket]) -> int:
    """The number in the latest generated version id of all versions; ids made later must have greater ones."""
    latest = 0
    for bucket in buckets:
        for version in oldest_first(bucket):
            number = version.version_id[4:16]
            if version.version_id.startswith("CAEQ") and len(number) == 12 and not set(number) - _HEX_DIGITS:
                latest = max(latest, int(number, 16))
    return latest
