"""Stage one: learning the representation."""
