"""Secrets: masked in logs, taken out of errors, encrypted at rest."""
