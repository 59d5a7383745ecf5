"""`lukv-bench doctor`."""

import sys
from contextlib import redirect_stdout

from .options import Database


def doctor(db: Database = None) -> int:
    """Say what works on this machine, what is missing and how to get it. Exit code 1 if something needed is broken."""
    from ..checkup import checkup

    with redirect_stdout(sys.stderr):  # of the plugins that are looked at
        findings = checkup(db)
    for finding in findings:
        print(f"{finding.mark:<7} {finding.what:<22} {finding.detail}")
        if finding.cure:
            print(f"{'':<30} -> {finding.cure}")
    return 1 if any(finding.mark == "broken" for finding in findings) else 0
