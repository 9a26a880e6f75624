"""Bucket configurations of which there are several by name: image styles, inventories, replication rules, domains.

They are stored and returned; only a domain has an effect (`addressing`). Each is a document in `Bucket.configs`, below
"SUBRESOURCE/NAME". Functions of a call, run by the thread that handles the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.ElementTree import fromstring

from osscloud.errors import OssError
from osscloud.message import Response
from osscloud.operations.call import Call, Operation
from osscloud.operations.config import Schema, boolean, document, number, one_of, text
from osscloud.operations.digest import check_body
from osscloud.operations.metadata import invalid
from osscloud.store import Bucket
from osscloud.xml import Document, canonical, iso_date

__all__ = ["operations"]

_MAX_INVENTORIES = 1000
_INVENTORY_PAGE = 100


def _entries(bucket: Bucket, kind: str) -> list[tuple[str, Element]]:
    """(name, document) of every entry of a kind, by name."""
    prefix = kind + "/"
    return [(p[len(prefix) :], fromstring(bucket.configs[p])) for p in sorted(bucket.configs) if p.startswith(prefix)]


def _entry(call: Call, kind: str, name: str, code: str) -> Element:
    kept = call.bucket.configs.get(f"{kind}/{name}")
    if kept is None:
        raise OssError(code, extras={"BucketName": call.bucket.name})
    found: Element = fromstring(kept)
    return found


def _body(call: Call, root: str, schema: Schema) -> Element:
    body = bytes(call.request.body)
    check_body(call, body)
    return document(root, schema, body)


def _keep(call: Call, kind: str, name: str, element: Element) -> None:
    with call.store.lock:
        call.current_bucket().configure(f"{kind}/{name}", tostring(element, encoding="utf-8"))


def _listing(root: str, elements: list[Element], *, before: dict[str, str], after: dict[str, str]) -> Response:
    found = Element(root)
    for name, value in before.items():
        SubElement(found, name).text = value
    found.extend(elements)
    for name, value in after.items():
        SubElement(found, name).text = value
    return Response(200, {}, canonical(found))


# Image styles


def _style_name(call: Call) -> str:
    name = call.params.get("styleName", "")
    if not 1 <= len(name) <= 64:
        raise invalid("styleName", name)
    return name


def _put_style(call: Call) -> Response:
    name = _style_name(call)
    root = _body(call, "Style", {"Content": text})
    old = call.bucket.configs.get(f"style/{name}")
    created = (fromstring(old).findtext("CreateTime") if old else None) or iso_date(call.now)
    style = Element("Style")
    leaves = {"Name": name, "Content": root.findtext("Content") or "", "Category": call.params.get("category", "image")}
    for leaf, value in (leaves | {"CreateTime": created, "LastModifyTime": iso_date(call.now)}).items():
        SubElement(style, leaf).text = value
    _keep(call, "style", name, style)
    return Response(200)


def _get_style(call: Call) -> Response:
    if "styleName" in call.params:
        return Response(200, {}, canonical(_entry(call, "style", _style_name(call), "NoSuchStyle")))
    return _listing("StyleList", [style for _, style in _entries(call.bucket, "style")], before={}, after={})


def _delete_style(call: Call) -> Response:
    with call.store.lock:
        call.current_bucket().configure(f"style/{_style_name(call)}", None)
    return Response(204)


# Inventories

_FIELDS: Schema = {"Field*": text}
_INVENTORY: Schema = {
    "Id": text,
    "IsEnabled": boolean,
    "Filter?": {
        "Prefix?": text,
        "LastModifyBeginTimeStamp?": number(),
        "LastModifyEndTimeStamp?": number(),
        "LowerSizeBound?": number(),
        "UpperSizeBound?": number(),
        "StorageClass?": text,
    },
    "Destination": {
        "OSSBucketDestination": {
            "Format": one_of("CSV", "ORC", "Parquet"),
            "AccountId": text,
            "RoleArn": text,
            "Bucket": text,
            "Prefix?": text,
            "Encryption?": {"SSE-OSS?": text, "SSE-KMS?": {"KeyId": text}},
        }
    },
    "Schedule": {"Frequency": one_of("Daily", "Weekly", "Monthly"), "DayOfMonth?": number(), "AutoDelete?": boolean},
    "IncludedObjectVersions": one_of("All", "Current"),
    "OptionalFields?": _FIELDS,
    "IncrementalInventory?": {
        "IsEnabled": boolean,
        "Schedule?": {"Frequency": number()},
        "OptionalFields?": _FIELDS,
    },
}


def _put_inventory(call: Call) -> Response:
    root = _body(call, "InventoryConfiguration", _INVENTORY)
    name = call.params.get("inventoryId", "")
    if not name or root.findtext("Id") != name:
        raise invalid("inventoryId", name, "The inventory id must be that of the document.")
    if len(_entries(call.bucket, "inventory")) >= _MAX_INVENTORIES:
        raise OssError("InvalidArgument", f"A bucket has at most {_MAX_INVENTORIES} inventories.")
    _keep(call, "inventory", name, root)
    return Response(200)


def _get_inventory(call: Call) -> Response:
    name = call.params.get("inventoryId")
    if name is not None:
        return Response(200, {}, canonical(_entry(call, "inventory", name, "NoSuchInventory")))
    found = [e for n, e in _entries(call.bucket, "inventory") if n > call.params.get("continuation-token", "")]
    if not found:
        raise OssError("NoSuchInventory", extras={"BucketName": call.bucket.name})
    page = found[:_INVENTORY_PAGE]
    after = {"IsTruncated": "true" if len(found) > len(page) else "false"}
    if len(found) > len(page):
        after["NextContinuationToken"] = page[-1].findtext("Id") or ""
    return _listing("ListInventoryConfigurationsResult", page, before={}, after=after)


def _delete_inventory(call: Call) -> Response:
    with call.store.lock:
        call.current_bucket().configure(f"inventory/{call.params.get('inventoryId', '')}", None)
    return Response(204)


# Replication: nothing is copied anywhere

_ENABLED = one_of("enabled", "disabled")
_REPLICATION: Schema = {
    "Rule": {
        "ID?": text,
        "PrefixSet?": {"Prefix+": text},
        "Action?": text,
        "Destination": {"Bucket": text, "Location": text, "TransferType?": one_of("internal", "oss_acc")},
        "HistoricalObjectReplication?": _ENABLED,
        "SyncRole?": text,
        "Status?": text,
        "RTC?": {"Status": _ENABLED},
        "SourceSelectionCriteria?": {"SseKmsEncryptedObjects": {"Status": one_of("Enabled", "Disabled")}},
        "EncryptionConfiguration?": {"ReplicaKmsKeyID": text},
    }
}


def _add_replication(call: Call) -> Response:
    rule = _body(call, "ReplicationConfiguration", _REPLICATION).find("Rule")
    assert rule is not None
    given = rule.findtext("ID") or call.ids.upload_id().lower()
    rule_id = rule.find("ID")
    if rule_id is None:
        rule_id = Element("ID")
        rule.insert(0, rule_id)
    rule_id.text = given
    with call.store.lock:
        bucket = call.current_bucket()
        if f"replication/{given}" in bucket.configs:
            raise invalid("ID", given, "The replication rule exists already.")
    for name, value in {"Action": "ALL", "HistoricalObjectReplication": "enabled", "Status": "doing"}.items():
        found = rule.find(name)
        if found is None:
            SubElement(rule, name).text = value
    _keep(call, "replication", given, rule)
    return Response(200, {"x-oss-replication-rule-id": given})


def _get_replication(call: Call) -> Response:
    rules = [rule for _, rule in _entries(call.bucket, "replication")]
    if not rules:
        raise OssError("NoSuchReplicationConfiguration", extras={"BucketName": call.bucket.name})
    return _listing("ReplicationConfiguration", rules, before={}, after={})


def _delete_replication(call: Call) -> Response:
    root = _body(call, "ReplicationRules", {"ID+": text})
    with call.store.lock:
        bucket = call.current_bucket()
        for rule_id in root.findall("ID"):
            if f"replication/{rule_id.text}" not in bucket.configs:
                raise OssError("NoSuchReplicationRule")
            bucket.configure(f"replication/{rule_id.text}", None)
    return Response(200)


def _replication_location(call: Call) -> Response:
    found = Document("ReplicationLocation")
    for region in call.config.regions:
        if region != call.config.region:
            found.leaf("Location", f"oss-{region}")
    return Response(200, {}, found.bytes())


def _replication_progress(call: Call) -> Response:
    rule = _entry(call, "replication", call.params.get("rule-id", ""), "NoSuchReplicationRule")
    shown = Element("Rule")
    wanted = ("ID", "PrefixSet", "Action", "Destination", "Status", "HistoricalObjectReplication")
    shown.extend(e for e in rule if e.tag in wanted)
    progress = SubElement(shown, "Progress")
    SubElement(progress, "HistoricalObject").text = "0.00"
    SubElement(progress, "NewObject").text = iso_date(call.now)
    return _listing("ReplicationProgress", [shown], before={}, after={})


def _put_rtc(call: Call) -> Response:
    root = _body(call, "ReplicationRule", {"RTC": {"Status": _ENABLED}, "ID": text})
    name = root.findtext("ID") or ""
    rule = _entry(call, "replication", name, "NoSuchReplicationRule")
    old = rule.find("RTC")
    if old is not None:
        rule.remove(old)
    rule.extend(root.findall("RTC"))
    _keep(call, "replication", name, rule)
    return Response(200)


# Domains

_CERTIFICATE: Schema = {
    "CertId?": text,
    "Certificate?": text,
    "PrivateKey?": text,
    "PreviousCertId?": text,
    "Force?": boolean,
    "DeleteCertificate?": boolean,
}
_CNAME: Schema = {"Cname": {"Domain": text, "CertificateConfiguration?": _CERTIFICATE, "IsWildCard?": boolean}}


def _domain(call: Call) -> str:
    root = _body(call, "BucketCnameConfiguration", _CNAME)
    domain = (root.findtext("Cname/Domain") or "").strip().lower()
    labels = domain.split(".")
    if len(labels) < 2 or not all(label and label.replace("-", "").isalnum() for label in labels):
        raise invalid("Domain", domain)
    return domain


def _add_cname(call: Call) -> Response:
    """Whether the domain belongs to the caller is not looked at: there is no DNS here."""
    domain = _domain(call)
    cname = Element("Cname")
    for name, value in {"Domain": domain, "LastModified": iso_date(call.now), "Status": "Enabled"}.items():
        SubElement(cname, name).text = value
    with call.store.lock:
        if call.store.cnames.get(domain, call.bucket_name) != call.bucket_name:
            raise OssError("CnameAlreadyExists", extras={"Cname": domain})
        _keep(call, "cname", domain, cname)
        call.store.cnames[domain] = call.bucket_name
    return Response(200)


def _list_cnames(call: Call) -> Response:
    if call.params.get("comp") == "token":
        return _token(call, call.params.get("cname", "").lower())
    cnames = [cname for _, cname in _entries(call.bucket, "cname")]
    before = {"Bucket": call.bucket.name, "Owner": call.bucket.owner}
    return _listing("ListCnameResult", cnames, before=before, after={})


def _delete_cname(call: Call) -> Response:
    domain = _domain(call)
    with call.store.lock:
        bucket = call.current_bucket()
        if f"cname/{domain}" in bucket.configs:
            bucket.configure(f"cname/{domain}", None)
            call.store.cnames.pop(domain, None)
    return Response(200)


def _create_token(call: Call) -> Response:
    domain = _domain(call)
    token = Element("CnameToken")
    leaves = {"Bucket": call.bucket_name, "Cname": domain, "Token": call.ids.upload_id().lower()}
    for name, value in (leaves | {"ExpireTime": iso_date(call.now + 3 * 86_400)}).items():
        SubElement(token, name).text = value
    _keep(call, "cnametoken", domain, token)
    return _token(call, domain)


def _token(call: Call, domain: str) -> Response:
    return Response(200, {}, canonical(_entry(call, "cnametoken", domain, "NoSuchCnameToken")))


_TABLE: tuple[tuple[str, str, str, Callable[[Call], Response]], ...] = (
    ("PUT", "style", "PutStyle", _put_style),
    ("GET", "style", "GetStyle", _get_style),
    ("DELETE", "style", "DeleteStyle", _delete_style),
    ("PUT", "inventory", "PutBucketInventory", _put_inventory),
    ("GET", "inventory", "GetBucketInventory", _get_inventory),
    ("DELETE", "inventory", "DeleteBucketInventory", _delete_inventory),
    ("POST", "replication?comp=add", "PutBucketReplication", _add_replication),
    ("POST", "replication?comp=delete", "DeleteBucketReplication", _delete_replication),
    ("GET", "replication", "GetBucketReplication", _get_replication),
    ("GET", "replicationLocation", "GetBucketReplicationLocation", _replication_location),
    ("GET", "replicationProgress", "GetBucketReplicationProgress", _replication_progress),
    ("PUT", "rtc", "PutBucketRTC", _put_rtc),
    ("POST", "cname?comp=add", "PutCname", _add_cname),
    ("POST", "cname?comp=delete", "DeleteCname", _delete_cname),
    ("POST", "cname?comp=token", "CreateCnameToken", _create_token),
    ("GET", "cname", "ListCname", _list_cnames),
)


def operations() -> Iterator[tuple[str, str, Operation]]:
    """(method, sub-resource, operation); "cname?comp=add" is that sub-resource with that comp."""
    for method, param, name, run in _TABLE:
        yield method, param, Operation(name, f"oss:{name}", run)
