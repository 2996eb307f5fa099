"""The outside world: one module per publisher or kind of file, all ending in the same observation rows."""
