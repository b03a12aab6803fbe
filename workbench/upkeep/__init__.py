"""Making the shipped assets again, and finding out what is wrong with an installation."""
