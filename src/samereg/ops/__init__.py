"""Tensors in, tensors out: torch only, index units along (d, h, w)."""
