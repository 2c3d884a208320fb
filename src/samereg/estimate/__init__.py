"""Estimation of transforms from matches, images and embeddings."""
