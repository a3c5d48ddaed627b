"""The record: metadata in SQLite, blobs in a folder, and the homes they lie in.

Importing this package loads nothing; only the owner imports the modules that use SQLAlchemy.
"""
