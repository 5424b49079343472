"""The mail relay, whose TLS can be as bad as OpenSSL still knows how."""
