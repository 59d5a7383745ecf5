"""`lukv-bench doctor`."""

import sys
from contextlib import redirect_stdout

from .options import Database


def doctor(db: Database = None) -> int:
    """Check what works on this machine, what is broken or missing, and how to fix it.

    Exit code 1 if a run needs what is broken.
    """
    from ..reports.checkup import checkup

    with redirect_stdout(sys.stderr):  # output of plugins at import
        findings = checkup(db)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        print(f"{finding.mark:<7} {finding.what:<{width}} {finding.detail}")
        if finding.cure:
            print(f"{'':<7} {'':<{width}} -> {finding.cure}")
    return 1 if any(finding.mark == "broken" and finding.needed for finding in findings) else 0
