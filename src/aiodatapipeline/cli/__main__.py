"""``python -m aiodatapipeline.cli``: the same as the command ``aiodatapipeline``."""

from aiodatapipeline.cli import program

program()
