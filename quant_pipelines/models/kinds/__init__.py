"""One file for each kind of model: its row of the zoo."""
