"""Registration methods to compare with: each takes a fixed and a moving scan and returns a transform."""
