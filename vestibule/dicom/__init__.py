"""DICOM: series found in folders and read as volumes, contours of RTSTRUCT. Needs the extra `dicom`."""
