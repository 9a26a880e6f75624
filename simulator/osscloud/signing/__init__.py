"""Request signatures as the server computes and checks them. Pure functions; any thread."""
