"""A look at images before training."""
