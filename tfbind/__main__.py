"""`python -m tfbind` is the command `tfbind`."""

from tfbind.cli import main

main(prog_name="tfbind")
