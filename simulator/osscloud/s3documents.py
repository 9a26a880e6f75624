"""Documents that S3 spells in another way than OSS: lifecycle rules, websites, restore requests; both directions.

Storage classes have their own names in each. A document that is not as S3 has it is left as it is: OSS's own check says
what is wrong with it. Pure functions, any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from xml.etree.ElementTree import Element, SubElement, tostring

from osscloud.errors import OssError
from osscloud.xml import parse

__all__ = ["CLASSES", "from_s3", "to_s3_shape"]

CLASSES = {
    "STANDARD": "Standard",
    "STANDARD_IA": "IA",
    "GLACIER": "Archive",
    "DEEP_ARCHIVE": "ColdArchive",
}
"""S3's storage classes as OSS calls them (vendor documentation, "Compatibility with Amazon S3")."""

_SIZES = ("ObjectSizeGreaterThan", "ObjectSizeLessThan")
_RESTORE_DAYS = 1


def from_s3(param: str, body: bytes) -> bytes:
    """The body of a request for a sub-resource as a native client would have written it."""
    translate = _FROM_S3.get(param)
    if translate is None or not body:
        return body
    try:
        root = parse(body, "")
    except OssError:
        return body
    translate(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def to_s3_shape(param: str, root: Element) -> None:
    """Changes a native document into S3's; storage classes aside."""
    translate = _TO_S3.get(param)
    if translate is not None:
        translate(root)


def _rename(parents: Iterable[Element], old: str, new: str) -> None:
    for parent in parents:
        for child in parent.findall(old):
            child.tag = new


# Lifecycle: S3 nests what a rule is for in Filter, in And when it is more than one thing; OSS has Prefix and Tag in the
# rule and only sizes and exceptions in Filter.


def _lifecycle_from_s3(root: Element) -> None:
    for rule in root.findall("Rule"):
        found = rule.find("Filter")
        if found is not None:
            rule.remove(found)
            kept = Element("Filter")
            for child in [*found.findall("And/*"), *(c for c in found if c.tag != "And")]:
                (kept if child.tag in (*_SIZES, "Not") else rule).append(child)
            if len(kept):
                rule.append(kept)
        _rename(rule.findall("Transition"), "Date", "CreatedBeforeDate")
        _rename(rule.findall("AbortIncompleteMultipartUpload"), "DaysAfterInitiation", "Days")
        _rename([rule], "AbortIncompleteMultipartUpload", "AbortMultipartUpload")
        for element in rule.iter("StorageClass"):
            element.text = CLASSES.get(element.text or "", element.text)


def _lifecycle_to_s3(root: Element) -> None:
    for rule in root.findall("Rule"):
        old = rule.find("Filter")
        prefix = rule.find("Prefix")
        tags = rule.findall("Tag")
        others = [] if old is None else list(old)
        for element in (prefix, old, *tags):
            if element is not None:
                rule.remove(element)
        wanted = [*([] if prefix is None or not prefix.text else [prefix]), *tags, *others]
        found = Element("Filter")
        (found if len(wanted) < 2 else SubElement(found, "And")).extend(wanted)
        if not wanted:
            SubElement(found, "Prefix")
        rule.insert(1, found)
        actions = [*rule.findall("Transition"), *rule.findall("Expiration")]
        _rename(actions, "CreatedBeforeDate", "Date")
        _rename(rule.findall("AbortMultipartUpload"), "Days", "DaysAfterInitiation")
        _rename([rule], "AbortMultipartUpload", "AbortIncompleteMultipartUpload")


# Websites: S3's rules have neither numbers nor types; every one is a redirect to somewhere else.


def _redirects(root: Element) -> list[Element]:
    return root.findall("RoutingRules/RoutingRule/Redirect")


def _website_from_s3(root: Element) -> None:
    for redirect in _redirects(root):
        if redirect.find("RedirectType") is None:
            SubElement(redirect, "RedirectType").text = "External"


def _website_to_s3(root: Element) -> None:
    for rule in root.findall("RoutingRules/RoutingRule"):
        for number in rule.findall("RuleNumber"):
            rule.remove(number)
    for redirect in _redirects(root):
        for kind in redirect.findall("RedirectType"):
            if kind.text == "External":
                redirect.remove(kind)


def _restore_from_s3(root: Element) -> None:
    """Days and tiers are S3's; OSS restores for a day (vendor documentation, "Compatibility with Amazon S3")."""
    if root.tag == "RestoreRequest":
        for child in list(root):
            root.remove(child)
        SubElement(root, "Days").text = str(_RESTORE_DAYS)


_FROM_S3: Mapping[str, Callable[[Element], None]] = {
    "lifecycle": _lifecycle_from_s3,
    "website": _website_from_s3,
    "restore": _restore_from_s3,
}
_TO_S3: Mapping[str, Callable[[Element], None]] = {"lifecycle": _lifecycle_to_s3, "website": _website_to_s3}
