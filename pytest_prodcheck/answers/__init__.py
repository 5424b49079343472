"""What a good answer is: the same for a smoke check, for latency without load, for a load and for a workflow."""
