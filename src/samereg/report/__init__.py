"""One self-contained page per registration: figures, pictures, and a verdict in words."""
