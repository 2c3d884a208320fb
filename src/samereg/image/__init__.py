"""CT preparation: model space, body mask, plausibility, resampling."""
