"""One S3 server as the comparison with moto sees it: steps in, plain observations out, with ids and times made
comparable.

Its client is boto3, so that what is asked is what programs ask. One thread, the runner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["CALLS", "Observation", "S3Side", "Step"]

Step = tuple[Any, ...]
"""("put", "k", "x"): the name of a call in `CALLS` and its arguments, which JSON can hold."""

Observation = Mapping[str, Any]
"""What a step answered: field to value. Two servers that behave alike answer equal ones."""

_PAST, _FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_TOLD = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "accept-ranges",
)


class S3Side:
    """A client of one server, in a bucket of its own. Version ids are told apart by the step that made them: "put#3" is
    what the third step, a put, was given; uploads by their number.

    missing_id: a well-formed id of no version."""

    def __init__(self, endpoint: str, key_id: str, secret: str, *, missing_id: str) -> None:
        import boto3
        from botocore.config import Config

        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
            ),
        )
        self.missing_id = missing_id
        self.buckets = 0
        self.bucket = ""
        self.labels: dict[str, str] = {}
        self.number = 0
        self._uploads: dict[str, tuple[str, str]] = {}
        self._parts: dict[tuple[str, int], str] = {}

    def begin(self) -> None:
        """Makes and takes another bucket, empty and never versioned."""
        self.buckets += 1
        self.bucket = f"fuzz-{self.buckets}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.labels.clear()
        self._uploads.clear()
        self._parts.clear()
        self.number = 0

    def close(self) -> None:
        """Of the client; the server goes on."""
        self.s3.close()

    def run(self, step: Step) -> Observation:
        """What the server answers to one step; the next is numbered one higher."""
        self.number += 1
        return self.look(step)

    def look(self, step: Step) -> Observation:
        """The same for a step that changes nothing and does not count."""
        from botocore.exceptions import ClientError

        name, *arguments = step
        try:
            seen: dict[str, Any] = {"status": 200, **CALLS[name](self, *arguments)}
        except ClientError as error:
            answer = error.response
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            seen = {
                "status": answer["ResponseMetadata"]["HTTPStatusCode"],
                "code": answer["Error"]["Code"],
                "version": self.label(headers.get("x-amz-version-id")),
                "marker": headers.get("x-amz-delete-marker", "") == "true",
            }
        return seen

    # Version ids

    def label(self, version_id: str | None) -> str:
        """ "" for none, "unknown" for one that no step has made."""
        if version_id is None:
            return ""
        return version_id if version_id == "null" else self.labels.get(version_id, "unknown")

    def _made(self, version_id: str | None, what: str) -> str:
        """Gives a new id its label."""
        if version_id is not None and version_id != "null":
            self.labels.setdefault(version_id, f"{what}#{self.number}")
        return self.label(version_id)

    def _id_of(self, label: str) -> str:
        """The id behind a label; what nothing is labelled with is the id of no version."""
        if label == "null":
            return label
        return next((found for found, known in self.labels.items() if known == label), self.missing_id)

    def _of(self, label: str) -> dict[str, str]:
        return {"VersionId": self._id_of(label)} if label else {}

    # Steps: each answers what it saw

    def versioning(self, status: str) -> Observation:
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": status})
        return {"state": self.s3.get_bucket_versioning(Bucket=self.bucket).get("Status", "")}

    def put(self, key: str, body: str, more: Mapping[str, str] | None = None) -> Observation:
        """more: of ContentType, CacheControl, ContentDisposition, ContentEncoding, Tagging."""
        answer = self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=body.encode(), Metadata={"m": str(len(body))}, **(more or {})
        )
        return {"etag": answer["ETag"], "version": self._made(answer.get("VersionId"), "put")}

    def parts(self, key: str, body: str) -> Observation:
        """A multipart upload of one part."""
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        part = self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=1, Body=body.encode())
        return self._completed(key, upload, [{"PartNumber": 1, "ETag": part["ETag"]}])

    def _completed(self, key: str, upload: str, parts: list[dict[str, Any]]) -> Observation:
        answer = self.s3.complete_multipart_upload(
            Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        return {
            "version": self._made(answer.get("VersionId"), "parts"),
            "suffix": answer["ETag"].rpartition("-")[2],
            "key": answer["Key"],
        }

    # An upload is called by the number of the step that began it.

    def begin_upload(self, key: str, more: Mapping[str, str] | None = None) -> Observation:
        answer = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **(more or {}))
        self._uploads[f"upload#{self.number}"] = (key, answer["UploadId"])
        return {"key": answer["Key"]}

    @property
    def uploads(self) -> list[str]:
        """Names of those begun, whether or not they have ended."""
        return list(self._uploads)

    def _upload(self, name: str) -> tuple[str, str]:
        return self._uploads.get(name, ("a", "0004B9895DBBB6EC98E36"))

    def upload_part(self, name: str, number: int, body: str) -> Observation:
        key, upload = self._upload(name)
        answer = self.s3.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body.encode()
        )
        self._parts[name, number] = answer["ETag"]
        return {"etag": answer["ETag"]}

    def copy_part(self, name: str, number: int, source: str, wanted: str = "") -> Observation:
        """wanted: a range of bytes of the source, "" for all."""
        key, upload = self._upload(name)
        more = {"CopySourceRange": wanted} if wanted else {}
        answer = self.s3.upload_part_copy(
            Bucket=self.bucket,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": self.bucket, "Key": source},
            **more,
        )
        self._parts[name, number] = answer["CopyPartResult"]["ETag"]
        return {"etag": answer["CopyPartResult"]["ETag"]}

    def list_parts(self, name: str) -> Observation:
        key, upload = self._upload(name)
        answer = self.s3.list_parts(Bucket=self.bucket, Key=key, UploadId=upload)
        return {
            "parts": [(part["PartNumber"], part["ETag"], part["Size"]) for part in answer.get("Parts", [])],
            "truncated": answer["IsTruncated"],
        }

    def list_uploads(self, prefix: str = "") -> Observation:
        answer = self.s3.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        known = {upload: name for name, (_, upload) in self._uploads.items()}
        found = [(entry["Key"], known.get(entry["UploadId"], "unknown")) for entry in answer.get("Uploads", [])]
        return {"uploads": sorted(found)}

    def complete(self, name: str, numbers: list[int], etag: str = "") -> Observation:
        """numbers: of the parts in the order of the request; etag: of all of them, "" for what they were given."""
        key, upload = self._upload(name)
        parts = [
            {"PartNumber": number, "ETag": etag or self._parts.get((name, number), '"' + "0" * 32 + '"')}
            for number in numbers
        ]
        return self._completed(key, upload, parts)

    def abort(self, name: str) -> Observation:
        key, upload = self._upload(name)
        answer = self.s3.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
        return {"status": answer["ResponseMetadata"]["HTTPStatusCode"]}

    def copy(self, source: str, key: str, label: str = "", more: Mapping[str, Any] | None = None) -> Observation:
        """more: of MetadataDirective, ContentType, CopySourceIfMatch, CopySourceIfNoneMatch."""
        where = {"Bucket": self.bucket, "Key": source} | self._of(label)
        given = dict(more or {})
        if source == key and not given:
            given = {"MetadataDirective": "REPLACE"}
        if given.get("MetadataDirective") == "REPLACE":
            given["Metadata"] = {"m": "copy"}
        answer = self.s3.copy_object(Bucket=self.bucket, Key=key, CopySource=where, **given)
        return {
            "etag": answer["CopyObjectResult"]["ETag"],
            "version": self._made(answer.get("VersionId"), "copy"),
            "source": self.label(answer.get("CopySourceVersionId")),
        }

    def delete(self, key: str, label: str = "") -> Observation:
        answer = self.s3.delete_object(Bucket=self.bucket, Key=key, **self._of(label))
        seen = answer.get("VersionId")
        return {
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "version": self.label(seen) if label else self._made(seen, "delete"),
            "marker": answer.get("DeleteMarker", False),
        }

    def delete_many(self, *wanted: tuple[str, str]) -> Observation:
        objects = [{"Key": key} | self._of(label) for key, label in wanted]
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects})
        seen = []
        for entry in answer.get("Deleted", []):
            marker = entry.get("DeleteMarkerVersionId")
            if "VersionId" not in entry and marker is not None:
                self._made(marker, f"delete {entry['Key']}")
            seen.append(
                (
                    entry["Key"],
                    self.label(entry.get("VersionId")),
                    entry.get("DeleteMarker", False),
                    self.label(marker),
                )
            )
        errors = sorted((entry["Key"], entry["Code"]) for entry in answer.get("Errors", []))
        return {"deleted": sorted(seen), "errors": errors}

    def get(self, key: str, label: str = "", wanted: str = "", condition: str = "") -> Observation:
        """wanted: a Range header; condition: a key of `_CONDITIONS`."""
        more = self._of(label) | ({"Range": wanted} if wanted else {}) | self._condition(key, condition)
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, **more)
        with answer["Body"] as body:
            return {**self._described(answer), "body": body.read(), "range": answer.get("ContentRange", "")}

    def head(self, key: str, label: str = "", condition: str = "") -> Observation:
        answer = self.s3.head_object(Bucket=self.bucket, Key=key, **self._of(label), **self._condition(key, condition))
        return {**self._described(answer), "size": answer["ContentLength"]}

    def _condition(self, key: str, condition: str) -> dict[str, Any]:
        name, _, what = condition.partition(" ")
        if not name:
            return {}
        if what in ("past", "future"):
            return {name: _PAST if what == "past" else _FUTURE}
        return {name: self._etag(key) if what == "right" else '"' + "A" * 32 + '"'}

    def _etag(self, key: str) -> str:
        from botocore.exceptions import ClientError

        try:
            found: str = self.s3.head_object(Bucket=self.bucket, Key=key)["ETag"]
        except ClientError:
            return '"' + "B" * 32 + '"'
        return found

    def _described(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return {
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "etag": answer["ETag"],
            "version": self.label(answer.get("VersionId")),
            "meta": answer["Metadata"],
            "marker": answer.get("DeleteMarker", False),
            "length": answer["ContentLength"],
            "tag count": answer.get("TagCount", 0),
            **{name: headers.get(name, "") for name in _TOLD},
        }

    def tag(self, key: str, value: str, label: str = "") -> Observation:
        answer = self.s3.put_object_tagging(
            Bucket=self.bucket, Key=key, Tagging={"TagSet": [{"Key": "t", "Value": value}]}, **self._of(label)
        )
        return {"version": self.label(answer.get("VersionId"))}

    def tags(self, key: str, label: str = "") -> Observation:
        answer = self.s3.get_object_tagging(Bucket=self.bucket, Key=key, **self._of(label))
        return {"tags": answer["TagSet"], "version": self.label(answer.get("VersionId"))}

    def untag(self, key: str, label: str = "") -> Observation:
        answer = self.s3.delete_object_tagging(Bucket=self.bucket, Key=key, **self._of(label))
        return {
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "version": self.label(answer.get("VersionId")),
        }

    def objects(self, version: int, prefix: str = "", delimiter: str = "", size: int = 1000) -> Observation:
        """All pages of a listing of current objects."""
        call = "list_objects" if version == 1 else "list_objects_v2"
        more = {"Delimiter": delimiter} if delimiter else {}
        pages = self.s3.get_paginator(call).paginate(
            Bucket=self.bucket, Prefix=prefix, PaginationConfig={"PageSize": size}, **more
        )
        keys, prefixes = [], []
        for page in pages:
            keys += [(entry["Key"], entry["ETag"], entry["Size"]) for entry in page.get("Contents", [])]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return {"keys": keys, "prefixes": prefixes}

    def page(self, version: int, after: str, prefix: str = "", delimiter: str = "", size: int = 1000) -> Observation:
        """One page. after: the key to begin behind."""
        more: dict[str, Any] = {"Delimiter": delimiter} if delimiter else {}
        if after:
            more["Marker" if version == 1 else "StartAfter"] = after
        call = self.s3.list_objects if version == 1 else self.s3.list_objects_v2
        answer = call(Bucket=self.bucket, Prefix=prefix, MaxKeys=size, **more)
        return {
            "keys": [entry["Key"] for entry in answer.get("Contents", [])],
            "classes": sorted({entry["StorageClass"] for entry in answer.get("Contents", [])}),
            "prefixes": [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])],
            "truncated": answer["IsTruncated"],
            "next": answer.get("NextMarker", ""),
            "count": answer.get("KeyCount", -1),
            "echoed prefix": answer.get("Prefix", ""),
            "echoed marker": answer.get("Marker" if version == 1 else "StartAfter", ""),
            "echoed limits": (answer.get("Delimiter", ""), answer["MaxKeys"]),
        }

    def versions(self, prefix: str = "", delimiter: str = "", size: int = 1000) -> Observation:
        """All pages of a listing of versions."""
        more = {"Delimiter": delimiter} if delimiter else {}
        pages = self.s3.get_paginator("list_object_versions").paginate(
            Bucket=self.bucket, Prefix=prefix, PaginationConfig={"PageSize": size}, **more
        )
        versions, markers, prefixes = [], [], []
        for page in pages:
            versions += [
                (entry["Key"], self.label(entry["VersionId"]), entry["IsLatest"], entry["ETag"], entry["Size"])
                for entry in page.get("Versions", [])
            ]
            markers += [
                (entry["Key"], self.label(entry["VersionId"]), entry["IsLatest"])
                for entry in page.get("DeleteMarkers", [])
            ]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        return {"versions": versions, "markers": markers, "prefixes": prefixes}

    def bucket_call(self, what: str, which: str = "") -> Observation:
        """what: "head", "location", "delete" or "versioning"; which: another bucket than one's own."""
        bucket = which or self.bucket
        match what:
            case "head":
                self.s3.head_bucket(Bucket=bucket)
            case "delete":
                answer = self.s3.delete_bucket(Bucket=bucket)
                return {"status": answer["ResponseMetadata"]["HTTPStatusCode"]}
            case "versioning":
                return {"state": self.s3.get_bucket_versioning(Bucket=bucket).get("Status", "")}
            case _:
                self.s3.list_objects_v2(Bucket=bucket)
        return {}


CALLS: Mapping[str, Callable[..., Observation]] = {
    "versioning": S3Side.versioning,
    "put": S3Side.put,
    "parts": S3Side.parts,
    "begin_upload": S3Side.begin_upload,
    "upload_part": S3Side.upload_part,
    "copy_part": S3Side.copy_part,
    "list_parts": S3Side.list_parts,
    "list_uploads": S3Side.list_uploads,
    "complete": S3Side.complete,
    "abort": S3Side.abort,
    "copy": S3Side.copy,
    "delete": S3Side.delete,
    "delete_many": S3Side.delete_many,
    "get": S3Side.get,
    "head": S3Side.head,
    "tag": S3Side.tag,
    "tags": S3Side.tags,
    "untag": S3Side.untag,
    "objects": S3Side.objects,
    "page": S3Side.page,
    "versions": S3Side.versions,
    "bucket": S3Side.bucket_call,
}
"""What may be asked, by the first word of a step."""
