"""From matches to transforms, without training."""
