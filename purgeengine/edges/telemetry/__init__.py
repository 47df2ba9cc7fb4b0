"""The figures of a run, for systems that watch it from outside: OpenTelemetry and Prometheus.

Nothing of it is imported unless somebody asks for it. No figure, label or span names a person, a mailbox, a folder or a contact.
"""
