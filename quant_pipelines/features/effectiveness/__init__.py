"""How well a factor has told later returns: the numbers of the factor report."""
