"""Where our S3-compatible face and moto's S3 answer differently, and why ours answers as it does.

Data only. A difference is a step (of `sides.Side`), a field of what it answers, and what the two sides say, as regular
expressions over `repr` with the numbers of labels cut off ("put#3" is 'put'). "outcome" is status and error code; when
that differs nothing else is compared. The step "state" is the full listing of versions after any step; of lists only
what one side has and the other has not is compared. `example` brings the difference about: an entry whose example no
longer does is stale, and the test says so.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIFFERENCES", "Difference"]


@dataclass(frozen=True)
class Difference:
    """when: only in this state of versioning ("never", "Enabled", "Suspended"). ends: from here on the two buckets "
        "hold
    different things, so that no comparison makes sense any more."""

    name: str
    steps: tuple[str, ...]
    field: str
    ours: str
    theirs: str
    source: str
    example: tuple[tuple[object, ...], ...]
    when: str = ""
    ends: bool = False


ON = ("versioning", "Enabled")
OFF = ("versioning", "Suspended")
READS = ("get", "head", "tag", "tags")

DIFFERENCES = (
    Difference(
        "ETags are upper case",
        ("*",),
        "etag",
        '"[0-9A-F]{32}"',
        '"[0-9a-f]{32}"',
        'OSS documentation, "Compatibility with Amazon S3": the ETag of an OSS object is upper case.',
        (("put", "a", b"x"),),
    ),
    Difference(
        "the ETag of a multipart upload is no digest of digests",
        ("*",),
        "etag",
        '"[0-9A-F]{32}-[0-9]+"',
        '"[0-9a-f]{32}-[0-9]+"',
        'OSS documentation, "CompleteMultipartUpload": it is unique to the content, and not its MD5.',
        (("parts", "a", b"x"), ("head", "a")),
    ),
    Difference(
        "the null version is named in a versioned bucket",
        ("put", "copy", *READS),
        "version",
        "'null'",
        "''",
        'OSS documentation, "Overview of versioning": x-oss-version-id is null then; S3 says so too ("Working with '
        'objects in a versioning-suspended bucket"). moto leaves the header out.',
        (("put", "a", b"x"), ON, ("get", "a")),
    ),
    Difference(
        "the null version that is copied is named",
        ("copy",),
        "source",
        "'null'",
        "''",
        "As above, for x-oss-copy-source-version-id.",
        (("put", "a", b"x"), ON, ("copy", "a", "b")),
    ),
    Difference(
        "a multipart upload without versioning has no version id",
        ("parts",),
        "version",
        "''",
        "'null'",
        'OSS documentation, "Overview of versioning": only versioned buckets answer x-oss-version-id. moto\'s '
        "CompleteMultipartUpload always does.",
        (("parts", "a", b"x"),),
    ),
    Difference(
        "deleting what is not there adds a marker: the answer",
        ("delete",),
        "version",
        "'delete'|'null'",
        "''",
        'OSS documentation, "DeleteObject": a marker is added whether the object exists or not; asserted by the Go '
        'SDK\'s tests. S3 documents the same ("Working with delete markers"); moto adds none.',
        (ON, ("delete", "a")),
    ),
    Difference(
        "deleting what is not there adds a marker: it is said to be one",
        ("delete",),
        "marker",
        "True",
        "False",
        "As above.",
        (ON, ("delete", "a")),
    ),
    Difference(
        "deleting what is not there adds a marker: the bucket",
        ("state",),
        "markers",
        r"\[\('[^']*', '(delete[^']*|null)', True\)\]",
        r"\[\]",
        "As above.",
        (ON, ("delete", "a")),
        ends=True,
    ),
    Difference(
        "a version that is not there counts as deleted, by its id",
        ("delete",),
        "version",
        "'null'|'unknown'|'(put|copy|parts|delete)[^']*'",
        "''",
        "Deleting is idempotent: 204 with the id (asserted by the vendor's Go SDK for batches, by S3's "
        "documentation for "
        "single objects). moto leaves the header out.",
        (ON, ("delete", "a", "none")),
    ),
    Difference(
        "HEAD by version id works in a bucket without versioning",
        ("head",),
        "outcome",
        "'(200 |404 404)'",
        "'400 400'",
        'OSS documentation, "Overview of versioning": the version id of an object written without versioning is '
        "null; any "
        "other is NoSuchVersion, as GET answers. moto's GET knows that, its HEAD does not.",
        (("put", "a", b"x"), ("head", "a", "null")),
    ),
    Difference(
        "a delete marker on top is named while versioning is suspended: its id",
        ("get", "head", "tags", "tag", "copy"),
        "version",
        "'(delete[^']*|null)'",
        "''",
        'OSS documentation, "GetObject": 404 with x-oss-delete-marker and x-oss-version-id, in both states of '
        "versioning. "
        "moto looks only in the enabled one.",
        (ON, ("put", "a", b"x"), ("delete", "a"), OFF, ("get", "a")),
    ),
    Difference(
        "a delete marker on top is named while versioning is suspended: what it is",
        ("get", "head", "tags", "tag", "copy"),
        "marker",
        "True",
        "False",
        "As above.",
        (ON, ("put", "a", b"x"), ("delete", "a"), OFF, ("get", "a")),
    ),
    Difference(
        "tags of a delete marker are not allowed",
        ("tag", "tags"),
        "outcome",
        "'405 MethodNotAllowed'",
        "'404 NoSuch(Version|Key)'",
        'OSS documentation, "GetObjectTagging" and "PutObjectTagging": MethodNotAllowed for the id of a delete '
        "marker, as "
        "GetObject. S3 documents the same.",
        (ON, ("put", "a", b"x"), ("delete", "a"), ("tags", "a", "delete#3")),
    ),
    Difference(
        "a group of which all is deleted is not listed",
        ("objects",),
        "prefixes",
        r"\[\]",
        r"\['[^']*'(, '[^']*')*\]",
        'OSS documentation, "ListObjects": common prefixes are those of the objects listed, and a delete marker is '
        "none. "
        "moto groups markers too.",
        (ON, ("put", "a/b", b"x"), ("delete", "a/b"), ("objects", 1, "", "/")),
    ),
    Difference(
        "a group is listed once, however small the pages",
        ("objects",),
        "prefixes",
        r"\['[^']*'(, '[^']*')*\]",
        r"\['[^']*'(, '[^']*')+\]",
        'OSS documentation, "ListObjects": a marker that is a common prefix leaves out what is grouped under it. '
        "moto groups "
        "it again on the next page.",
        (("put", "b", b"x"), ("put", "c/d/e", b"x"), ("put", "é+ %", b"x"), ("objects", 1, "", "/", 1)),
    ),
    Difference(
        "a copy of a multipart upload has its ETag",
        ("copy",),
        "etag",
        "'multipart'",
        "'\"[0-9a-f]{32}\"'",
        'OSS documentation, "PutObject": only what PutObject writes has its MD5 as ETag; a copy keeps its source\'s.',
        (("parts", "a", b"x"), ("copy", "a", "b")),
    ),
    Difference(
        "a copy of a multipart upload has its ETag: the bucket",
        ("state",),
        "versions",
        r"\[\(.*'multipart', [0-9]+\)\]",
        r"\[\(.*'\"[0-9a-f]{32}\"', [0-9]+\)\]",
        "As above.",
        (("parts", "a", b"x"), ("copy", "a", "b")),
        ends=True,
    ),
    Difference(
        "tagging names the version while versioning is suspended",
        ("tag", "tags"),
        "version",
        "'(put|copy|parts)[^']*'",
        "''",
        'OSS documentation, "PutObjectTagging": x-oss-version-id of the version. moto names it in the enabled state '
        "alone.",
        (ON, ("put", "a", b"x"), OFF, ("tag", "a", "v")),
    ),
    Difference(
        "tags cannot be given to a key that ends in a delete marker",
        ("tag",),
        "outcome",
        "'404 NoSuchKey'",
        "'405 MethodNotAllowed'",
        'OSS documentation, "PutObjectTagging": NoSuchKey where a delete marker is on top; 405 is for the marker\'s '
        "own id.",
        (ON, ("put", "a", b"x"), ("delete", "a"), ("tag", "a", "v")),
    ),
    Difference(
        "what a batch did to markers is said",
        ("delete_many",),
        "deleted",
        r"\[(\('[^']*', '[^']*', True, '(delete[^']*|null)'\)(, )?)+\]",
        r"\[(\('[^']*', '[^']*', False, ''\)(, )?)+\]",
        'OSS documentation, "DeleteMultipleObjects": DeleteMarker and DeleteMarkerVersionId for each marker that '
        "was added "
        "or removed. moto says nothing of markers that it removes, and adds none for what is not there.",
        (ON, ("put", "a", b"x"), ("delete", "a"), ("delete_many", ("a", "delete#3"))),
    ),
    Difference(
        "deleting works while versioning is suspended",
        ("delete", "delete_many"),
        "outcome",
        "'20[04] '",
        "'500 500'",
        "moto fails on a delete marker under the version that it deletes.",
        (("put", "a", b"x"), ON, ("delete", "a"), OFF, ("delete", "a")),
        when="Suspended",
        ends=True,
    ),
    Difference(
        "a delete marker cannot be copied",
        ("copy",),
        "outcome",
        "'405 MethodNotAllowed'",
        "'404 NoSuchVersion'",
        'OSS documentation, "CopyObject": the source is read as GetObject reads it, which refuses the id of a '
        "delete marker "
        "with 405.",
        (ON, ("put", "a", b"x"), ("delete", "a"), ("copy", "a", "b", "delete#3")),
    ),
    Difference(
        "deleting a version that is not there leaves the object alone",
        ("state",),
        "versions",
        r"\[(\('[^']*', 'null', True, .*\)(, )?)+\]",
        r"\[\]",
        'OSS documentation, "DeleteObject": with versionId that version alone is deleted. moto removes the object '
        "for any id "
        "in a bucket that never was versioned.",
        (("put", "a", b"x"), ("delete", "a", "none")),
        when="never",
        ends=True,
    ),
    Difference(
        "versions stay while versioning is suspended",
        ("state",),
        "versions",
        ".*",
        ".*",
        'OSS documentation, "Versioning suspended": a write or delete replaces the null version and nothing else, '
        "and "
        "deleting a version by id removes just that; S3 documents the same. moto then takes a bucket for one that "
        "never was "
        "versioned, and drops or empties what lies below (`delete_object`, `bucket.is_versioned`).",
        (ON, ("put", "a", b"x"), OFF, ("delete", "a")),
        when="Suspended",
        ends=True,
    ),
    Difference(
        "delete markers stay while versioning is suspended",
        ("state",),
        "markers",
        ".*",
        ".*",
        "As above.",
        (ON, ("put", "a", b"x"), ("delete", "a"), OFF, ("put", "a", b"y")),
        when="Suspended",
        ends=True,
    ),
)
