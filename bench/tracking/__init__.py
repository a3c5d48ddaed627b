"""Tracking beside another tracking server: the same calls over the same protocol, in turns."""
