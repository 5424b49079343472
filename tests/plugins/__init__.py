"""prodcheck beside other people's plugins: docs/plugins.md holds what came of it."""
