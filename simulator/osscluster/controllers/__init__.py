"""The control plane's loops: binding, scheduling, workloads, attaching."""
