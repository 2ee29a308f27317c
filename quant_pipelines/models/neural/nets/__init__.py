"""The nets, one file each: (batch x length x columns) to (batch x outputs)."""
