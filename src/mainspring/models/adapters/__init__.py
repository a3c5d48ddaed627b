"""Technologies that models are made with, one module each."""
