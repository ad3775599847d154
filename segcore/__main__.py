"""`python -m segcore` is the `segcore` command."""

import sys

from segcore.cli.main import main

sys.exit(main())
