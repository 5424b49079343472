"""A cluster, and the manifests that are about to be applied."""
