"""Models: signatures, formats, parity between formats, and the files of a version."""
