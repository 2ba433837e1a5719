"""Pure functions, exact, computed on snippets with frame weights."""
