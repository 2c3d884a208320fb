"""Files of points, one file per format; frames end here: points are LPS+ millimetres inside."""
