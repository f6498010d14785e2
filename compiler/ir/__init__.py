"""The data of the compiler: layers, operations, tiles, schedules, what lives how long."""
