"""A certificate for a server on the loopback address: kubectl sends its token to nobody without one.

The private key is made here and kept nowhere. Needs `cryptography` (extra `kubectl`).
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

from osscluster.errors import EnvironmentMissing

__all__ = ["self_signed"]

_DAYS = 365


def self_signed(address: str, now: datetime | None = None) -> tuple[bytes, bytes]:
    """(certificate, private key) in PEM for an IP address, valid for a year from `now` (default: the wall clock, as its
    checkers use). Raises EnvironmentMissing."""
    try:
        from cryptography import x509  # noqa: PLC0415 - an optional dependency
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError as error:
        reason = "the certificate of the API server needs the package cryptography"
        raise EnvironmentMissing(reason, "pip install 'ossvol[kubectl]'") from error
    now = now or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ossvol")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
