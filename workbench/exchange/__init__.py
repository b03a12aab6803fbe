"""Other people's demonstrations in, ours out; nothing in a file is executed."""
