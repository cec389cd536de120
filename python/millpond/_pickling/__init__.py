"""How values become bytes for another process, and values again."""
