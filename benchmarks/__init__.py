"""Measurements of the whole; a package, as a dependency (xdsl) installs one of that name."""
