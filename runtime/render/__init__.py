"""For people: tables, files, pages."""
