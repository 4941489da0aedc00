"""Posts: who may publish them, and how they end."""
