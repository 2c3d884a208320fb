"""The version of this package: read by it, by its build and by its documentation."""

__version__ = "0.1.0"
