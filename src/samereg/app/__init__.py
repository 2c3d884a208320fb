"""Files in, files out: the only meeting place of paths and pipeline."""
