"""What services answer: health, version, addresses, endpoints, workflows."""
