"""Blobs for what is tested without a home."""


class Memory:
    """Blobs of a dictionary: a real store of content by name, without a disk."""

    def __init__(self):
        self.content = {}

    def put(self, content):
        self.content[str(len(self.content))] = content
        return str(len(self.content) - 1)

    def get(self, digest):
        return self.content[digest]
