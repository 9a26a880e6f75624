"""The service account token that kubelet mounts into a FUSE Pod for RRSA, and renews before it expires.

A real file: ossfs reads it when it buys credentials. Called from the thread that drives the timeline.
"""

from __future__ import annotations

from pathlib import Path

from osscloud.oidc import RRSA_AUDIENCE, Issuer
from osscluster.timeline import Timeline, Timer

__all__ = ["ServiceAccountToken"]

_LIFETIME = 3600.0
_RENEWED_AT = 0.8  # of its life (source: kubelet, pkg/kubelet/token)


class ServiceAccountToken:
    """subject: "system:serviceaccount:NAMESPACE:NAME"; path: of the file."""

    def __init__(self, timeline: Timeline, issuer: Issuer, subject: str, path: Path) -> None:
        self.path = path
        self._timeline = timeline
        self._issuer = issuer
        self._subject = subject
        self._timer: Timer | None = None
        self._renew()

    def close(self) -> None:
        """Removes the file; safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        # The cloud's clock says when the token begins.
        self._timeline.synchronise()
        fresh = self.path.with_suffix(".new")
        fresh.write_text(self._issuer.token(self._subject, RRSA_AUDIENCE, _LIFETIME), encoding="ascii")
        fresh.chmod(0o600)
        fresh.rename(self.path)
        self._timer = self._timeline.call_later(_LIFETIME * _RENEWED_AT, self._renew)
