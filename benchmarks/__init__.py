"""Measurements of samereg that are run from the root of a checkout; never imported by the package."""
