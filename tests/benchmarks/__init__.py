"""Speed, measured side by side: ``make bench``. Never collected as timed tests."""
