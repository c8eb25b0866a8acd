"""Line finding on pages, without training."""
