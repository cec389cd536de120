"""The pool's processes: how they are made, what they do, and what they say when they fail."""
