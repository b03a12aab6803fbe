"""How thorough the campaign of faults and malformed inputs is, and what it counted.

`make campaign` sets WORKBENCH_CAMPAIGN and prints the table of `docs/trust.md` at the end.
"""

import collections
import os

FULL = bool(os.environ.get("WORKBENCH_CAMPAIGN"))
COUNTED: collections.Counter = collections.Counter()
"""What was tried how often, every time with the right outcome."""
