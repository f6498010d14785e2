"""From Relax to operations of the accelerator, and what it takes at all."""
