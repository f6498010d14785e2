"""A program as a value and a file: instructions, tensors, weights, where each comes from."""
