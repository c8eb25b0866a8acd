"""Serving: trained bundles behind HTTP, and a web page to try them."""
