"""One frozen dataclass per command; parses, calls app, prints."""
