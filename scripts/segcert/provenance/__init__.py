"""Provenance of artifacts: digests, run records and lineage, and the calls to Git and DVC."""
