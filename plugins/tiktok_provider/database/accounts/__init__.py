"""Accounts: their connections, token sets and refreshes."""
