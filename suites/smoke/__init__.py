"""Smoke: does what was just deployed answer, is it the right thing, does a user get through. Under a minute."""
