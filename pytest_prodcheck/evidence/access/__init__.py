"""Who gets in: logins, roles, tokens, cookies, throttling."""
