"""Images and labels: where they come from, the long tail, and who is in which batch."""
