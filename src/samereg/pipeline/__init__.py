"""Registration of volumes by stages and recipes, independent of files."""
