"""kubelet: what it does with the Pods of its node."""
