"""Training losses: tensors in, scalars out; no millimetres."""
