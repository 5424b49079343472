"""The targets of the sections whose targets follow from more than their own table."""
