"""A stream: capture, inference and output in threads of their own, with the age of what is seen known and bounded."""
