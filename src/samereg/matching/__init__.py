"""Matching of points by embeddings: embed, sample points, search, filter."""
