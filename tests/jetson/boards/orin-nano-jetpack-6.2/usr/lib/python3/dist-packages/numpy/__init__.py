"""Stands where the package lies; its content is not recorded."""
