"""What pretends to be Microsoft Graph: a tenant that knows the truth, for the demo and for tests."""
