"""Embed, sample points, search, keep what is stable."""
