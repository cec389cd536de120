"""CPython's own tests of `multiprocessing`, run from the installed interpreter on millpond."""
