"""One command per module, named like it; imported only when it is used."""
