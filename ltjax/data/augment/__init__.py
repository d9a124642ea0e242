"""What is done to images in training: pure functions of a key, on the device or not."""
