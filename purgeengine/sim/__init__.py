"""A simulation of Microsoft Graph: a tenant that knows the truth, for the demo and for tests."""
