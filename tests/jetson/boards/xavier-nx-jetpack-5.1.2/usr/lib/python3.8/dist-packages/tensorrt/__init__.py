"""Stands where the package lies; its content is not recorded."""

__version__ = "8.5.2.2"
