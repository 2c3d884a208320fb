"""Report of a registration: one self-contained page with measures, images and a verdict."""
