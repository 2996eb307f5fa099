"""The sheets of the workbook: a module for those that are about one thing."""
