"""Embedding training on unlabelled CT."""
