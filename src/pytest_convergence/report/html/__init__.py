"""The report as one self-contained page: no network, no script but its own."""

from pytest_convergence.report.html.page import build_page, write_page

__all__ = ["build_page", "write_page"]
