"""Accounts: their connections, tokens and refreshes."""
