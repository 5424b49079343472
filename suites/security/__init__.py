"""The security suite: what an attacker or an auditor would find, found first."""
