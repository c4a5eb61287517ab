"""What a row is, without driver and without Arrow: kinds, buffers, digest, the compiled codec."""
