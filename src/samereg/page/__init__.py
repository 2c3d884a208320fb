"""The interactive page of a pair: a server on this computer, and what the browser shows."""
