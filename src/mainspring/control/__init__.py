"""The owner of a home: use cases over the record, each in a transaction of its own."""
