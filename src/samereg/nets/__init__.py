"""Networks and their building blocks, in index units."""
