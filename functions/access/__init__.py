"""Who asks: development credentials, sessions, and the only maker of an OrganizationId from a request."""
