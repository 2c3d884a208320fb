"""Commands on files: the only package that combines paths and the pipeline."""
