"""Comparison of registration methods on labelled pairs: scores, statistics, tables and figures."""
