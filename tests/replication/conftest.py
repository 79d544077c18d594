"""The made-up results of the reporting tests, for two files that share no seed."""

from tests.reporting.conftest import results

__all__ = ["results"]
