"""Checks of everything that publishing needs, from wherever they run, and of the accounts' health."""
