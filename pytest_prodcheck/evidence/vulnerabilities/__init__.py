"""Reports of scanners: where they come from, their formats, what they are about, what VEX documents take back."""
