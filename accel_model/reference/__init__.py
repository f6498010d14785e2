"""Slow, obvious models of the hardware, one loop per clock, to check the fast ones against."""
