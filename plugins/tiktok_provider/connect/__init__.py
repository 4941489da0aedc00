"""How a person authorizes an app for an account: the same for the command line and the pages."""
