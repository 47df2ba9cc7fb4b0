"""The HTTPS way to Graph."""
