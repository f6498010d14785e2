"""From float to integer layers: ranges, groups, scales."""
