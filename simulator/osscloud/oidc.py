"""OpenID Connect as RRSA uses it: an issuer of service account tokens (a cluster's API server), and the check that STS
makes of one. Tokens are real RS256 JWTs.

Needs PyJWT with cryptography (extra `rrsa`), imported when an issuer or a check is first wanted. Time comes from a
clock, never from the JWT library. An `Issuer`'s key comes from the operating system's randomness unless one is given:
it is the one thing here that a seed does not repeat. Any thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from osscloud.clock import Clock
from osscloud.ram.entity import OidcProvider

__all__ = ["RRSA_AUDIENCE", "Claims", "Issuer", "MissingDependency", "TokenError", "TokenExpired", "check_token"]

RRSA_AUDIENCE = "sts.aliyuncs.com"
"""Audience of the tokens that ACK's RRSA mounts into Pods."""


class MissingDependency(ImportError):
    """PyJWT is not installed; the text says how to get it."""


class TokenError(ValueError):
    """A token that is not accepted; the text says why."""


class TokenExpired(TokenError):
    """A token that was good once."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a checked token says. issued, expires: seconds since the epoch."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    issued: int
    expires: int


def _jwt() -> ModuleType:
    try:
        import cryptography  # noqa: F401, PLC0415
        import jwt  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependency(
            "OIDC tokens need PyJWT with cryptography: pip install 'ossvol[rrsa]' (or: pip install 'PyJWT[crypto]')"
        ) from error
    return jwt


class Issuer:
    """Issues tokens, as a cluster with a service account issuer does.

    url: `iss` of the tokens. clock: says when they begin and end. private_key_pem: an RSA key; None generates one of
    2048 bits. Raises MissingDependency."""

    def __init__(
        self, url: str, *, clock: Clock, private_key_pem: bytes | None = None, key_id: str = "ossvol-1"
    ) -> None:
        self._jwt = _jwt()
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        self.url = url
        self._clock = clock
        self._key_id = key_id
        self._key: Any = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if private_key_pem is None
            else load_pem_private_key(private_key_pem, None)
        )

    def token(
        self,
        subject: str,
        audience: str | Sequence[str] = RRSA_AUDIENCE,
        lifetime: float = 3600,
        *,
        claims: Mapping[str, object] | None = None,
    ) -> str:
        """A token. subject: "system:serviceaccount:NAMESPACE:NAME". lifetime: seconds from now. claims: further ones,
        or others than the usual."""
        now = int(self._clock.now())
        audiences = [audience] if isinstance(audience, str) else list(audience)
        content = {
            "iss": self.url,
            "sub": subject,
            "aud": audiences,
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime),
            **(claims or {}),
        }
        encoded: str = self._jwt.encode(content, self._key, algorithm="RS256", headers={"kid": self._key_id})
        return encoded

    def jwks(self) -> dict[str, object]:
        """The public key as a JWK set, as it is below /.well-known of an issuer."""
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415

        key: dict[str, object] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self._key_id, "alg": "RS256", "use": "sig"}]}


def check_token(token: str, provider: OidcProvider, now: float) -> Claims:
    """The claims of a token that is signed by the provider's key, issued by it, meant for one of its client ids, and
    valid at `now` (seconds since the epoch).

    Raises TokenExpired, TokenError, MissingDependency."""
    jwt = _jwt()
    try:
        header = jwt.get_unverified_header(token)
        keys = jwt.PyJWKSet.from_dict(json.loads(provider.jwks)).keys
        candidates = [key for key in keys if header.get("kid") in (None, key.key_id)]
        if not candidates:
            raise TokenError("the provider has no key with the id that the token names")
        # Times are checked below: the library only knows the machine's clock.
        options = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
        options["verify_signature"] = True
        content = jwt.decode(token, candidates[0].key, algorithms=["RS256"], options=options)
    except jwt.PyJWTError as error:
        raise TokenError(str(error)) from error
    claims = _claims(content)
    if claims.issuer != provider.issuer:
        raise TokenError(f"the token is issued by {claims.issuer}, the provider is {provider.issuer}")
    if not set(claims.audiences) & set(provider.client_ids):
        raise TokenError(f"the token is meant for {', '.join(claims.audiences)}, none of the provider's client ids")
    if now >= claims.expires:
        raise TokenExpired("the token has expired")
    if isinstance(begins := content.get("nbf", claims.issued), int | float) and now < begins:
        raise TokenError("the token is not valid yet")
    return claims


def _claims(content: Mapping[str, object]) -> Claims:
    audience = content.get("aud")
    listed: list[object] = audience if isinstance(audience, list) else [audience]
    audiences = tuple(item for item in listed if isinstance(item, str))
    issuer, subject, issued, expires = (content.get(name) for name in ("iss", "sub", "iat", "exp"))
    if not (
        isinstance(issuer, str)
        and isinstance(subject, str)
        and isinstance(issued, int | float)
        and isinstance(expires, int | float)
        and len(audiences) == len(listed)
    ):
        raise TokenError("the token lacks one of iss, sub, aud, iat and exp")
    return Claims(issuer, subject, audiences, int(issued), int(expires))
