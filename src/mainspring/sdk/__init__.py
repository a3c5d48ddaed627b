"""The Python face: what users import as `ms`; it speaks the wire only."""
