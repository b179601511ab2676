"""A symbol-service of our own: books that are simulated, recorded or moved by hand."""
