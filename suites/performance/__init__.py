"""The performance suite: latency, throughput, load and stress."""
