"""``convergence demo``: record, bless, change a model, and see the gate fail; offline."""
