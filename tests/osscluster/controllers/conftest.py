"""`lab`: a cluster to try things on."""

from tests.osscluster.clusterlab import lab

__all__ = ["lab"]
