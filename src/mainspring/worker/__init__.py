"""What an engine launches to execute runs."""
