"""The HTTPS connection to Graph."""
