"""The OSS CSI driver, by version."""
