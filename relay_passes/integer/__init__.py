"""Integer layers: as values, as Relax functions, and the way back."""
