"""Synthetic chest CT with 35 labelled organs."""
