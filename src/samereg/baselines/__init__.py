"""Baseline registration methods."""
