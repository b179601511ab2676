"""`execution-service order`: orders from the shell."""
