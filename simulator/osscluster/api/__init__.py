"""The Kubernetes API, as much as surrounds an OSS volume."""
