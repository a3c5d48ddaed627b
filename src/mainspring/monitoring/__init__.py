"""What is watched: binned profiles, calibrated drift, estimated and realised performance, renewal."""
