"""The plugin `ossvol` comes by its entry point; its own tests run pytest inside pytest."""

pytest_plugins = ["pytester"]
