"""Point formats, one module each; inside samereg, points are in LPS+ mm."""
