"""Which of many runs start, and where: clusters of machines, placement, and the traces that try it."""
