#!/bin/sh
# Installs the programs that tests of DICOM objects are judged by; as root, on Debian or Ubuntu.
set -e
apt-get update
apt-get install -y --no-install-recommends plastimatch dicom3tools dcmtk
