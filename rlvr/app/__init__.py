"""The doors: what a person types, and what it prints. The one room where a name becomes an object."""
