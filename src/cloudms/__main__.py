"""`python -m cloudms` is `cms`."""

import sys

from cloudms.doors.cli import main

sys.exit(main())
