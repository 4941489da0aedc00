"""The store's side that has a database: its tables, and all that changes them."""
