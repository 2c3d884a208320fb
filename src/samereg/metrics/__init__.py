"""Numbers that judge a registration."""
