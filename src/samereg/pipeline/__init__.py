"""Stages and recipes: volumes in, registration out; no paths."""
