"""A first configuration, proposed from what is there: an address, an OpenAPI document, a kubeconfig, a compose file."""
