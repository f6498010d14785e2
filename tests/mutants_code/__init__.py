"""Small changes to our own code and the tests that must notice each: ``make mutants-code``."""
