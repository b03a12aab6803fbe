"""The same numbers as the plain networks, sooner. Skip this folder on a first reading."""
