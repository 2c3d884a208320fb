"""Files of transforms, one file per format; direction, frame and units end here: fixed to moving, LPS+ mm inside."""
