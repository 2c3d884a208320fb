"""Many pairs of scans: which, what is left to do, registering each in a worker, and a table of all."""
