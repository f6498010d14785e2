"""Long randomised checks that print a table; samples of them run in the quick tests."""
