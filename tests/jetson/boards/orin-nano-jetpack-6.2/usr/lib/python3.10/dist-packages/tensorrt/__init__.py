"""Stands where the package lies; its content is not recorded."""

__version__ = "10.3.0"
