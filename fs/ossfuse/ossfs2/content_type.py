"""The Content-Type that ossfs2 gives to what it uploads: a fixed table by suffix, no file of the machine is read.

Pure; any thread. Source: 2.0.7, lookup_mime_type. A name without a dot is looked up as a whole ("pdf" is a PDF), and a
suffix counts for its first eight characters.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["content_type"]

_LONGEST = 8

_SUFFIXES: Mapping[str, str] = {
    "application/atom+xml": "atom",
    "application/java-archive": "jar war ear",
    "application/mac-binhex40": "hqx",
    "application/octet-stream": "bin deb dll dmg eot exe img iso msi msm msp",
    "application/pdf": "pdf",
    "application/postscript": "ai eps ps",
    "application/rss+xml": "rss",
    "application/rtf": "rtf",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.google-earth.kml+xml": "kml",
    "application/vnd.google-earth.kmz": "kmz",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.wap.wmlc": "wmlc",
    "application/x-7z-compressed": "7z",
    "application/x-cocoa": "cco",
    "application/x-java-archive-diff": "jardiff",
    "application/x-java-jnlp-file": "jnlp",
    "application/x-javascript": "js",
    "application/x-makeself": "run",
    "application/x-mpegURL": "m3u8",
    "application/x-nokia-widget": "wgz",
    "application/x-perl": "pl pm",
    "application/x-pilot": "pdb prc",
    "application/x-rar-compressed": "rar",
    "application/x-redhat-package-manager": "rpm",
    "application/x-sea": "sea",
    "application/x-shockwave-flash": "swf",
    "application/x-tcl": "tcl tk",
    "application/x-x509-ca-cert": "crt der pem",
    "application/x-xpinstall": "xpi",
    "application/xhtml+xml": "xhtml",
    "application/zip": "zip",
    "audio/midi": "kar mid midi",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/x-m4a": "m4a",
    "audio/x-realaudio": "ra",
    "image/gif": "gif",
    "image/jpeg": "jpeg jpg",
    "image/png": "png",
    "image/svg+xml": "svg svgz",
    "image/tiff": "tif tiff",
    "image/vnd.wap.wbmp": "wbmp",
    "image/webp": "webp",
    "image/x-icon": "ico",
    "image/x-jng": "jng",
    "image/x-ms-bmp": "bmp",
    "text/css": "css",
    "text/html": "htm html shtml",
    "text/mathml": "mml",
    "text/plain": "txt",
    "text/vnd.wap.wml": "wml",
    "text/x-component": "htc",
    "text/xml": "xml",
    "video/3gpp": "3gp 3gpp",
    "video/MP2T": "ts",
    "video/mp4": "mp4",
    "video/mpeg": "mpeg mpg",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-m4v": "m4v",
    "video/x-mng": "mng",
    "video/x-ms-asf": "asf asx",
    "video/x-ms-wmv": "wmv",
    "video/x-msvideo": "avi",
}
_TYPES = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def content_type(key: str) -> str:
    """Of the object `key`; "" when ossfs2 sends none (OSS stores application/octet-stream then)."""
    return _TYPES.get(key.rpartition(".")[2][:_LONGEST].lower(), "")
