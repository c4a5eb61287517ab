"""One operation a module, each with one story function."""
