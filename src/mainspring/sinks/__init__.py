"""Where facts are sent: the port to receivers, its adapters, and what to do when one does not take them."""
