"""The steps and decisions of publishing, shared by operators, sensors and triggers."""
