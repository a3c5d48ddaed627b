"""The ground: identifiers, ports, states, specifications, messages and errors; no I/O."""
