"""Certificates, handshakes and what sslyze finds."""
