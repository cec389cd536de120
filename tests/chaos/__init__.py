"""Programs whose processes are killed at random, and what has to hold nevertheless.

`cargo xtask chaos` runs them; README.md tells what is checked, and how.
"""
