"""One file per price model: its value, and the function that prices a usage with it."""
