"""What the tests share: programs in process groups of their own, leak checks, the watchdog."""
