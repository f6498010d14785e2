"""Memories with a record for each cell, and what of them an instruction may touch."""
