"""One page that holds a whole evaluation and opens offline; and plain PNG sheets of the same."""
