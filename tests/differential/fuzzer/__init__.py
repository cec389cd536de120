"""Random small programs, run on the standard library and on millpond, and compared.

README.md tells how it works and what a report says.
"""
