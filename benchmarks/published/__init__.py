"""Published figures of accelerators, reproduced: one file an array with ``rows() -> list[Row]``."""
