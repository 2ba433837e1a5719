"""Videos with weak labels: what is known of each, where it is, and which split it belongs to."""
