"""Experts only where they are asked for."""
