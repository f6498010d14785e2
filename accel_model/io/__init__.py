"""What reading and writing need: archives, records, whole files, compiled loops."""
