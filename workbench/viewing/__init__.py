"""How things look: robots, the player in the browser, figures."""
