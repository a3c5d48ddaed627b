"""Technologies that programs bring along, as they are met inside a run."""
