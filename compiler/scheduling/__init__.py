"""The search: which operations go together, how each is cut, what that costs."""
