"""What the schemes share: options, layers, masks, the same bits on any number of threads."""
