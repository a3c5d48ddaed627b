"""Seals, tokens, safe paths and the one module that unpickles."""
