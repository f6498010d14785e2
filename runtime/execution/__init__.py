"""Running networks: sessions, TVM's packed function, the comparison with TVM."""
