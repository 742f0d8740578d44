"""Token datasets: packed shards on disk, and the batches that training draws from them."""
