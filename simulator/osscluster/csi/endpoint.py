"""The driver's rewriting of a volume's url: to the internal endpoint of the node's region, and with a scheme.

Pure; any thread. Source: NodePublishVolume (to 1.28.5), setNetworkType and setTransmissionProtocol (from 1.28.6), by
release.
"""

from __future__ import annotations

from osscluster.csi.profile import CsiProfile, UrlRule

__all__ = ["bucket_domain", "rewritten"]


def rewritten(url: str, region: str, profile: CsiProfile, *, shared: bool) -> str:
    """The url that ossfs gets. region: of the node as the driver knows it, "" for unknown. shared: whether the mount is
    a shared one."""
    if profile.url_rewritten_when_shared or not shared:
        url = _internal(url, region, profile.url_rule)
    if profile.scheme_added and not url.startswith(("http://", "https://")):
        url = f"{'http' if url.rstrip('/').endswith('-internal.aliyuncs.com') else 'https'}://{url}"
    return url


def bucket_domain(url: str, bucket: str) -> bool:
    """Whether the url is the bucket's own domain name, "bucket.oss-..." (source: validateEndpoint)."""
    return url.count(".") >= 3 and _bare(url).startswith(f"{bucket}.")


def _bare(url: str) -> str:
    return url.removeprefix("http://").removeprefix("https://")


def _internal(url: str, region: str, rule: UrlRule) -> str:
    if rule is UrlRule.EXACT:
        scheme = url[: len(url) - len(_bare(url))]
        named = {
            f"oss-{region}.aliyuncs.com": f"oss-{region}-internal.aliyuncs.com",
            f"{region}.oss-data-acc.aliyuncs.com": f"{region}-internal.oss-data-acc.aliyuncs.com",
        }
        found = named.get(_bare(url)) if region else None
        return url if found is None else scheme + found
    if rule is not UrlRule.ANYWHERE and not region:
        return url
    if rule in (UrlRule.ALIYUNCS, UrlRule.ALIYUNCS_BUT_CACHE) and not url.rstrip("/").endswith(".aliyuncs.com"):
        return url
    if rule is UrlRule.ALIYUNCS_BUT_CACHE and _bare(url).startswith("oss-cache-"):
        return url
    if region not in url or "internal" in url:
        return url
    # Go's ReplaceAll of "" puts the new text around every character, as Python's does.
    return url.replace(region, f"{region}-internal")
