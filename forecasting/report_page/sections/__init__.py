"""The sections of the page, a module each: markup, and the charts in it by the id of their place."""
