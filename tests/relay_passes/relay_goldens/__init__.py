"""What Relay itself computed, made once by ``make`` with TVM 0.19, which still had it."""
