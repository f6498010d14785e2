"""The numbers: convolutions, pools and additions over activations, compiled."""
