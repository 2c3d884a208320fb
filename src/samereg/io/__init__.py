"""Reading and writing of files; the only package that imports SimpleITK, nibabel, pydicom and h5py."""
