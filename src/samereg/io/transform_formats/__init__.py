"""Transform formats, one module each; inside samereg, transforms map fixed to moving in LPS+ mm."""
