"""The schemes: one file each, and what two of them share; recipes of several."""
