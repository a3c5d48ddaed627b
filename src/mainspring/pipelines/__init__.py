"""Pipelines: what a step's result depends on, why it ran again, and how its call travels."""
