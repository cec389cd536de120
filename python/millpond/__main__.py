"""`python -m millpond script.py`: run an unmodified program on millpond."""

from millpond._cli import main

main()
