"""Processes that write random bytes, ones, zeros and holes into what they share with others."""
