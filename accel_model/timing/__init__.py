"""Time, and nothing else: the lane array and the three units. No state, no numbers."""
