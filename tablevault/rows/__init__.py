"""What a row is, without driver and without Arrow: kinds, buffers, digest, the compiled codec.

Import from the modules: `kinds` and `buffers` are plain Python and load at once, `rowcodec` is
the compiled part.
"""
