"""Distributions over weights: pytrees in, pytrees out, whatever the model."""
