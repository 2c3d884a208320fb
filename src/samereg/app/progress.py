"""Type of the progress callback."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with a description, steps done and steps in all."""
