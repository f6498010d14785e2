"""The built-in accelerators, one TOML file each."""
