"""Frames, grids, volumes, points and transforms in world millimetres (LPS+); knows no files."""
