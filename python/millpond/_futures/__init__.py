"""What becomes of calls: one completion path for results of pools and futures of executors."""
