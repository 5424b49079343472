"""What browsers and strangers see: pages, CORS, errors, what lies open."""
