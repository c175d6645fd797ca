"""What the corpus is made of: one module a kind of disagreement, each a generator of cases."""
