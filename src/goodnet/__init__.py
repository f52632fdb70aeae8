"""goodnet finds and removes backdoors in neural networks."""
