"""Evaluation measures of registrations."""
