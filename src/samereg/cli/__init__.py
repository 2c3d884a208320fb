"""The command line: one frozen dataclass per command, which parses, calls app and prints."""
