"""A project that the examples of the documents speak of, and how they are run in it."""
