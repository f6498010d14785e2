"""Relax itself: rewriting, what every pass begins with, folding, running on the CPU."""
