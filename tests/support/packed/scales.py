"""In a namespace package: a folder without an __init__.py."""


def scale(number, factor):
    """Multiply."""
    return number * factor
