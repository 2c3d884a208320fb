"""Training losses: tensors in, scalars out, index units."""
