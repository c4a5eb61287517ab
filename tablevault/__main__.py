"""`python -m tablevault` is `tablevault`."""

import sys

from tablevault.cli.main import main

sys.exit(main())
