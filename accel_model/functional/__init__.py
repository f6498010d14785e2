"""The numbers: convolutions, additions and products compiled, pools by numpy."""
