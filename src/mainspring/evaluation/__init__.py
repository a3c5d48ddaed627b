"""Judging models: gates over unseen data, and the proof that it is unseen."""
