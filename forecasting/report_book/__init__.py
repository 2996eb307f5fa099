"""The report as an Excel workbook."""

from forecasting.report_book.building import book

__all__ = ["book"]
