"""One S3 server as the parity test sees it: steps in, plain observations out, with ids and times made comparable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

__all__ = ["Observation", "Side", "Step"]

Step = tuple[Any, ...]
"""("put", "k", b"x"): the name of a method of `Side` and its arguments."""

Observation = Mapping[str, Any]
"""What a step answered: field to value. Two servers that behave alike answer equal ones."""


class Side:
    """A client of one server. Version ids are told apart by the step that made them: "put#3" is what the third step, a
    put, was given."""

    def __init__(self, endpoint: str, key_id: str, secret: str, *, missing_id: str) -> None:
        """missing_id: a well-formed id of no version."""
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

    def begin(self) -> None:
        """Makes and takes another bucket, empty and never versioned."""
        self.buckets += 1
        self.bucket = f"parity-{self.buckets}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.labels.clear()
        self.number = 0

    def close(self) -> None:
        self.s3.close()

    def run(self, step: Step) -> Observation:
        """What the server answers to one step; the next is numbered one higher."""
        self.number += 1
        return self.look(step)

    def look(self, step: Step) -> Observation:
        """The same for a step that changes nothing and does not count."""
        name, *arguments = step
        try:
            seen: dict[str, Any] = {"status": 200, **getattr(self, name)(*arguments)}
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
        if version_id is None:
            return ""
        return version_id if version_id == "null" else self.labels.get(version_id, "unknown")

    def made(self, version_id: str | None, what: str) -> str:
        """Gives a new id its label."""
        if version_id is not None and version_id != "null":
            self.labels.setdefault(version_id, f"{what}#{self.number}")
        return self.label(version_id)

    def id_of(self, label: str) -> str:
        """The id behind a label; what nothing is labelled with is the id of no version."""
        if label == "null":
            return label
        return next((found for found, known in self.labels.items() if known == label), self.missing_id)

    # Steps: each answers what it saw

    def versioning(self, status: str) -> Observation:
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": status})
        return {"state": self.s3.get_bucket_versioning(Bucket=self.bucket).get("Status", "")}

    def put(self, key: str, body: bytes) -> Observation:
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata={"m": str(len(body))})
        return {"etag": answer["ETag"], "version": self.made(answer.get("VersionId"), "put")}

    def parts(self, key: str, body: bytes) -> Observation:
        """A multipart upload of one part."""
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        part = self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=1, Body=body)
        answer = self.s3.complete_multipart_upload(
            Bucket=self.bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        return {"version": self.made(answer.get("VersionId"), "parts"), "suffix": answer["ETag"].rpartition("-")[2]}

    def copy(self, source: str, key: str, label: str = "") -> Observation:
        where = {"Bucket": self.bucket, "Key": source} | ({"VersionId": self.id_of(label)} if label else {})
        more = {"MetadataDirective": "REPLACE", "Metadata": {"m": "copy"}} if source == key else {}
        answer = self.s3.copy_object(Bucket=self.bucket, Key=key, CopySource=where, **more)
        return {
            "etag": answer["CopyObjectResult"]["ETag"],
            "version": self.made(answer.get("VersionId"), "copy"),
            "source": self.label(answer.get("CopySourceVersionId")),
        }

    def delete(self, key: str, label: str = "") -> Observation:
        more = {"VersionId": self.id_of(label)} if label else {}
        answer = self.s3.delete_object(Bucket=self.bucket, Key=key, **more)
        seen = answer.get("VersionId")
        return {
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "version": self.label(seen) if label else self.made(seen, "delete"),
            "marker": answer.get("DeleteMarker", False),
        }

    def delete_many(self, *wanted: tuple[str, str]) -> Observation:
        objects = [{"Key": key} | ({"VersionId": self.id_of(label)} if label else {}) for key, label in wanted]
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects})
        seen = []
        for entry in answer.get("Deleted", []):
            marker = entry.get("DeleteMarkerVersionId")
            if "VersionId" not in entry and marker is not None:
                self.made(marker, f"delete {entry['Key']}")
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

    def get(self, key: str, label: str = "") -> Observation:
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, **({"VersionId": self.id_of(label)} if label else {}))
        with answer["Body"] as body:
            return {**self._described(answer), "body": body.read()}

    def head(self, key: str, label: str = "") -> Observation:
        answer = self.s3.head_object(Bucket=self.bucket, Key=key, **({"VersionId": self.id_of(label)} if label else {}))
        return {**self._described(answer), "size": answer["ContentLength"]}

    def _described(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "etag": answer["ETag"],
            "version": self.label(answer.get("VersionId")),
            "meta": answer["Metadata"],
            "marker": answer.get("DeleteMarker", False),
        }

    def tag(self, key: str, value: str, label: str = "") -> Observation:
        more = {"VersionId": self.id_of(label)} if label else {}
        answer = self.s3.put_object_tagging(
            Bucket=self.bucket, Key=key, Tagging={"TagSet": [{"Key": "t", "Value": value}]}, **more
        )
        return {"version": self.label(answer.get("VersionId"))}

    def tags(self, key: str, label: str = "") -> Observation:
        more = {"VersionId": self.id_of(label)} if label else {}
        answer = self.s3.get_object_tagging(Bucket=self.bucket, Key=key, **more)
        return {"tags": answer["TagSet"], "version": self.label(answer.get("VersionId"))}

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
