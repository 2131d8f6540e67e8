"""The independent checker, scripts/check_certificate.py, as a module."""

import importlib.util

from tests.support.pages import ROOT

FILE = ROOT / "scripts/check_certificate.py"
_spec = importlib.util.spec_from_file_location("check_certificate", FILE)
checker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(checker)


def verdict(path):
    """Return True if the checker finds nothing wrong."""
    try:
        return checker.main(path) == 0
    except SystemExit:
        return False
