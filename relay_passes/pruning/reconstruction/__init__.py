"""Weights that make again what the dense layers made, by least squares over samples."""
