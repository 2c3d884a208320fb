"""The shipped weights: registry, checksums, model cards."""
