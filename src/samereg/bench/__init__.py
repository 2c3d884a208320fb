"""Methods against each other on labelled pairs: scores, statistics, tables and figures."""
