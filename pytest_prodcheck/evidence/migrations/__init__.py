"""What is applied in a database against what this revision ships."""
