"""A scenario's website and mirror as the document that PutBucketWebsite takes.

Pure; any thread.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, tostring

from ossvol.scenario.model import MirrorSpec, RoutingRuleSpec, WebsiteSpec

__all__ = ["website_document"]


def website_document(website: WebsiteSpec | None, mirror: MirrorSpec | None, origin: str) -> bytes | None:
    """None when there is neither. origin: the URL that a mirror without one of its own fetches from."""
    if website is None and mirror is None:
        return None
    root = Element("WebsiteConfiguration")
    if website is not None and website.index is not None:
        index = SubElement(root, "IndexDocument")
        _add(index, Suffix=website.index, SupportSubDir=website.support_sub_dir)
        if website.support_sub_dir:
            _add(index, Type=website.type)
    if website is not None and website.error is not None:
        _add(SubElement(root, "ErrorDocument"), Key=website.error, HttpStatus=website.error_status)
    rules = website.rules if website is not None else []
    if rules or mirror is not None:
        parent = SubElement(root, "RoutingRules")
        for number, rule in enumerate(rules, 1):
            _rule(parent, number, rule)
        if mirror is not None:
            _mirror(parent, len(rules) + 1, mirror, origin)
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _add(parent: Element, **values: str | int | bool | None) -> None:
    """One child a value that is not None, booleans as OSS spells them."""
    for name, value in values.items():
        if value is not None:
            SubElement(parent, name).text = str(value).lower() if isinstance(value, bool) else str(value)


def _rule(parent: Element, number: int, rule: RoutingRuleSpec) -> None:
    element = SubElement(parent, "RoutingRule")
    _add(element, RuleNumber=number)
    condition = SubElement(element, "Condition")
    _add(
        condition,
        KeyPrefixEquals=rule.prefix,
        KeySuffixEquals=rule.suffix,
        HttpErrorCodeReturnedEquals=rule.error_code,
    )
    external = rule.redirect != "Internal"
    _add(
        SubElement(element, "Redirect"),
        RedirectType=rule.redirect,
        Protocol=rule.protocol,
        HostName=rule.host,
        HttpRedirectCode=rule.status if external else None,
        ReplaceKeyWith=rule.replace_key_with,
        ReplaceKeyPrefixWith=rule.replace_prefix_with,
        EnableReplacePrefix=True if rule.replace_prefix_with is not None else None,
        PassQueryString=rule.pass_query or None,
    )


def _mirror(parent: Element, number: int, mirror: MirrorSpec, origin: str) -> None:
    element = SubElement(parent, "RoutingRule")
    _add(element, RuleNumber=number)
    _add(SubElement(element, "Condition"), KeyPrefixEquals=mirror.prefix or None, HttpErrorCodeReturnedEquals=404)
    _add(
        SubElement(element, "Redirect"),
        RedirectType="Mirror",
        MirrorURL=mirror.url or origin,
        EnableReplacePrefix=True if mirror.replace_prefix_with is not None else None,
        ReplaceKeyPrefixWith=mirror.replace_prefix_with,
        MirrorFollowRedirect=mirror.follow_redirect,
        MirrorPassQueryString=mirror.pass_query,
        MirrorAllowHeadObject=mirror.allow_head,
        MirrorProxyPass=mirror.proxy_pass,
    )
