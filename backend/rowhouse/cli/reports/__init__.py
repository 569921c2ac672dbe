"""Commands that look at a project and change nothing: its routes, and what is wrong with it."""
