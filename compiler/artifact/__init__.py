"""Compiled networks and their files; what users bring to run them."""
