"""Pruning: which weights go, what is left of them, and what the network then still knows."""
