"""``python -m aiodatapipeline.cli``: the same as the command ``aiodatapipeline``."""

import sys

from aiodatapipeline.cli import main

sys.exit(main())
