"""CT preprocessing: model space, body mask, plausibility checks, resampling."""
