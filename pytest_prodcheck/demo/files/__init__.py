"""What a demo writes into its folder at its start."""
