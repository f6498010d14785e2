"""A whole program: the order its tokens allow, the run, the audit, the trace."""
