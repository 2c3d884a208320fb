"""Files in and out: the only place that knows SimpleITK, nibabel, pydicom and h5py."""
