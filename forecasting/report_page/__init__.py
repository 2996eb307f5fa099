"""The report as one HTML page."""

from forecasting.report_page.page import html

__all__ = ["html"]
