"""Labels for new images."""
