"""Sensors that wait for posts."""
