"""Contract suites that adapters pass, also those of other packages; the runtime never imports them."""
