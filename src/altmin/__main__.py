"""``python -m altmin``."""

import sys

from altmin.cli import main

sys.exit(main())
