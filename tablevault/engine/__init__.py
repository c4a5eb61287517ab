"""Planning and bounded workers, without SQL and without files."""
